package dev.longalign.training;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads TensorFlow's event files: TFRecords, whose sums it checks with a table of its own, of
 * protobuf messages, in which it refuses what it does not know.
 */
final class EventReader {
  /** CRC-32C (Castagnoli), reflected, byte by byte. */
  private static final int[] TABLE = new int[256];

  static {
    for (int i = 0; i < 256; i++) {
      int c = i;
      for (int bit = 0; bit < 8; bit++) {
        c = (c & 1) == 0 ? c >>> 1 : c >>> 1 ^ 0x82f63b78;
      }
      TABLE[i] = c;
    }
  }

  private EventReader() {}

  record Image(int height, int width, int colorspace, byte[] encoded) {}

  record Event(
      double wallTime,
      long step,
      String fileVersion,
      int sessionStatus,
      Map<String, Float> scalars,
      Map<String, Image> images) {}

  /** All events; a record that a killed process left unfinished at the end is left out. */
  static List<Event> read(Path file) throws IOException {
    ByteBuffer in = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    List<Event> events = new ArrayList<>();
    while (in.remaining() >= 12) {
      int at = in.position();
      long length = in.getLong();
      check(in.getInt(), in.array(), at, 8, file);
      if (in.remaining() < length + 4) {
        break;
      }
      byte[] content = new byte[Math.toIntExact(length)];
      in.get(content);
      check(in.getInt(), content, 0, content.length, file);
      events.add(event(content));
    }
    return events;
  }

  private static void check(int masked, byte[] bytes, int from, int count, Path file) {
    int crc = ~0;
    for (int i = from; i < from + count; i++) {
      crc = crc >>> 8 ^ TABLE[(crc ^ bytes[i]) & 0xff];
    }
    crc = ~crc;
    int expected = (crc >>> 15 | crc << 17) + 0xa282ead8;
    if (masked != expected) {
      throw new AssertionError(file + ": expected the sum " + expected + ", found " + masked);
    }
  }

  // ---- protobuf

  /** Fields by number, in order: a Long of a varint or fixed number, else bytes. */
  private static List<Map.Entry<Integer, Object>> fields(byte[] message) {
    ByteBuffer in = ByteBuffer.wrap(message).order(ByteOrder.LITTLE_ENDIAN);
    List<Map.Entry<Integer, Object>> fields = new ArrayList<>();
    while (in.hasRemaining()) {
      long tag = varint(in);
      Object value;
      switch ((int) tag & 7) {
        case 0 -> value = varint(in);
        case 1 -> value = in.getLong();
        case 2 -> {
          byte[] bytes = new byte[Math.toIntExact(varint(in))];
          in.get(bytes);
          value = bytes;
        }
        case 5 -> value = (long) in.getInt();
        default -> throw new AssertionError("wire type " + (tag & 7));
      }
      fields.add(Map.entry((int) (tag >>> 3), value));
    }
    return fields;
  }

  private static long varint(ByteBuffer in) {
    long value = 0;
    for (int shift = 0; ; shift += 7) {
      byte b = in.get();
      value |= (long) (b & 0x7f) << shift;
      if (b >= 0) {
        return value;
      }
    }
  }

  private static String text(Object value) {
    return new String((byte[]) value, StandardCharsets.UTF_8);
  }

  private static Event event(byte[] message) {
    double time = 0;
    long step = 0;
    String version = null;
    int status = 0;
    Map<String, Float> scalars = new LinkedHashMap<>();
    Map<String, Image> images = new LinkedHashMap<>();
    for (Map.Entry<Integer, Object> field : fields(message)) {
      Object value = field.getValue();
      switch (field.getKey()) {
        case 1 -> time = Double.longBitsToDouble((Long) value);
        case 2 -> step = (Long) value;
        case 3 -> version = text(value);
        case 5 -> summary((byte[]) value, scalars, images);
        case 7 -> status = ((Long) fields((byte[]) value).get(0).getValue()).intValue();
        default -> throw new AssertionError("field " + field.getKey() + " of an event");
      }
    }
    return new Event(time, step, version, status, scalars, images);
  }

  private static void summary(
      byte[] message, Map<String, Float> scalars, Map<String, Image> images) {
    for (Map.Entry<Integer, Object> entry : fields(message)) {
      String tag = null;
      for (Map.Entry<Integer, Object> field : fields((byte[]) entry.getValue())) {
        switch (field.getKey()) {
          case 1 -> tag = text(field.getValue());
          case 2 -> scalars.put(tag, Float.intBitsToFloat(((Long) field.getValue()).intValue()));
          case 4 -> images.put(tag, image((byte[]) field.getValue()));
          default -> throw new AssertionError("field " + field.getKey() + " of a value");
        }
      }
    }
  }

  private static Image image(byte[] message) {
    List<Map.Entry<Integer, Object>> fields = fields(message);
    int[] numbers = new int[3];
    for (int i = 0; i < 3; i++) {
      if (fields.get(i).getKey() != i + 1) {
        throw new AssertionError("field " + fields.get(i).getKey() + " of an image");
      }
      numbers[i] = ((Long) fields.get(i).getValue()).intValue();
    }
    return new Image(numbers[0], numbers[1], numbers[2], (byte[]) fields.get(3).getValue());
  }
}
