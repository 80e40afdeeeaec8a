package dev.longalign.cli;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Device;
import dev.longalign.text.EncoderProvider;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

/** Where a command computes. */
final class DeviceOption {
  @Option(
      names = "--device",
      converter = Converter.class,
      description = "cpu, cuda, cuda:N or auto (a GPU if there is one). Default: cpu.")
  Device device = Device.cpu();

  @Option(names = "--threads", converter = Threads.class, description = Threads.DESCRIPTION)
  int threads;

  static final class Converter implements ITypeConverter<Device> {
    @Override
    public Device convert(String text) {
      try {
        return Device.parse(text);
      } catch (LongAlignException e) {
        throw new TypeConversionException(e.getMessage());
      }
    }
  }

  Backend open() {
    return device.open(threads);
  }

  /** Encoders that run there, if they can. */
  EncoderProvider encoders() {
    return EncoderProvider.find().on(device.resolved());
  }
}
