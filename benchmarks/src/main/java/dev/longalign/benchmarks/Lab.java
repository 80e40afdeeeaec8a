package dev.longalign.benchmarks;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** The device under measurement and a scope for what all invocations share: weights and inputs. */
@State(Scope.Benchmark)
public class Lab {
  @Param("cpu")
  public String device;

  @Param({"F32", "BF16"})
  public DType dtype;

  /**
   * Values of large tensors repeat after so many: drawing them would take longer than measuring.
   */
  private static final int DISTINCT = 999_983;

  private final Random random = new Random(1);
  private final TensorScope shared = TensorScope.detached();
  private final List<AutoCloseable> models = new ArrayList<>();
  private Backend backend;

  @Setup(Level.Trial)
  public void open() {
    backend = Device.parse(device).open(0);
    if (!backend.supports(dtype)) {
      throw new IllegalStateException(
          backend.name() + " does not compute in " + dtype + ": leave it out with -p dtype=F32");
    }
  }

  @TearDown(Level.Trial)
  public void close() throws Exception {
    for (AutoCloseable model : models) {
      model.close();
    }
    shared.close();
    backend.close();
  }

  /** For use without JMH. */
  void closeUnchecked() {
    try {
      close();
    } catch (RuntimeException e) {
      throw e;
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }

  /** Frees the model before the device is closed. */
  void closeAtEnd(AutoCloseable model) {
    models.add(model);
  }

  Backend backend() {
    return backend;
  }

  /** What the inputs of a benchmark are made in; {@link #close} frees it. */
  TensorScope shared() {
    return shared;
  }

  /** Normally distributed values in the type under measurement. */
  Tensor normal(double deviation, long... dims) {
    return f32(deviation, dims).cast(dtype);
  }

  Tensor f32(double deviation, long... dims) {
    Shape shape = Shape.of(dims);
    float[] values = new float[Math.toIntExact(shape.size())];
    for (int i = 0; i < Math.min(values.length, DISTINCT); i++) {
      values[i] = (float) (deviation * random.nextGaussian());
    }
    for (int i = DISTINCT; i < values.length; i += DISTINCT) {
      System.arraycopy(values, 0, values, i, Math.min(DISTINCT, values.length - i));
    }
    return Tensor.of(backend, shape, values);
  }

  /** Returns when the device has computed y. */
  static Tensor await(Tensor y) {
    y.backend().synchronize();
    return y;
  }
}
