package dev.longalign.engine;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.BackendProvider;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.DeviceOptions;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.concurrent.atomic.AtomicReference;

/** The CPU as if it had no bfloat16 arithmetic; the test sees the backend that was opened last. */
public final class F32OnlyProvider implements BackendProvider {
  static final Device DEVICE = new Device("f32only", 0);
  static final AtomicReference<Backend> LAST = new AtomicReference<>();

  @Override
  public String kind() {
    return DEVICE.kind();
  }

  @Override
  public String whyUnavailable() {
    return null;
  }

  @Override
  public Backend open(DeviceOptions options) {
    Backend cpu = Device.cpu().open(options.threads());
    LAST.set(cpu);
    return (Backend)
        Proxy.newProxyInstance(
            getClass().getClassLoader(),
            new Class<?>[] {Backend.class},
            (proxy, method, args) -> {
              if (method.getName().equals("supports")) {
                return args[0] == DType.F32;
              }
              try {
                return method.invoke(cpu, args);
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            });
  }
}
