package dev.longalign.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import dev.longalign.autograd.AutogradBackend;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/**
 * A new operation, or a new derivative, must get a {@link GradientCase}: those are what {@link
 * FiniteDifferenceTest} and {@link GradientContract} check. An operation without a derivative fails
 * there, for its variable takes no part.
 */
class GradientCoverageTest {
  /** Operations that have no derivative, and why. */
  private static final Map<String, String> WITHOUT =
      Map.of(
          "Backend.upload", "makes a constant",
          "Backend.zeros", "makes a constant",
          "Backend.cast", "rounds, so that no difference shows it: AutogradBackendTest checks it",
          "Backend.upsampleConv2d", "made of two others where gradients are wanted",
          "Backend.linears", "made of linear where gradients are wanted",
          "Backend.reshape", "a view: the graph knows parts of values",
          "Backend.rows", "a view: the graph knows parts of values",
          "Backend.segmentConcat", "of frozen encoders' outputs, refused for others",
          "Backend.reweight", "of frozen encoders' outputs, refused for others",
          "Backend.preferenceGradient", "a gradient itself, of constants");

  private static final Set<Class<?>> RESULTS =
      Set.of(Tensor.class, Tensor[].class, ReweightedTexts.class, PreferenceGradient.class);

  private final Set<String> called = new TreeSet<>();

  @Test
  void everyOperationAndEveryDerivativeHasACase() {
    Backend watched = watched(Backend.class, new ReferenceBackend());
    AutogradBackend autograd = new AutogradBackend(watched, false);
    GradientCase.all()
        .forEach(
            c -> {
              try (TensorScope scope = TensorScope.open()) {
                Inputs inputs = new Inputs(autograd, DType.F32, false, 1);
                Tensor y = c.forward().of(inputs, new GradientCase.Variables(autograd));
                autograd.backward(y, GradientContract.direction(autograd, y));
              }
            });
    Set<String> expected = new TreeSet<>();
    for (Class<?> type : new Class<?>[] {Backend.class, TrainingOps.class, GradientOps.class}) {
      expected.addAll(operations(type));
    }
    assertThat(expected).as("exempt operations that exist").containsAll(WITHOUT.keySet());
    expected.removeAll(WITHOUT.keySet());
    assertThat(expected).hasSizeGreaterThan(35);
    expected.removeAll(called);
    assertThat(expected)
        .as("operations that no GradientCase runs; add one, or say in WITHOUT why there is none")
        .isEmpty();
  }

  /** Methods that compute tensors. */
  private static Set<String> operations(Class<?> type) {
    return Arrays.stream(type.getDeclaredMethods())
        .filter(m -> RESULTS.contains(m.getReturnType()))
        .map(GradientCoverageTest::signature)
        .collect(Collectors.toSet());
  }

  /** With the parameters where the name has overloads. */
  private static String signature(Method method) {
    Class<?> type = method.getDeclaringClass();
    boolean alone =
        Arrays.stream(type.getDeclaredMethods())
                .filter(other -> other.getName().equals(method.getName()))
                .count()
            == 1;
    String name = type.getSimpleName() + "." + method.getName();
    return alone
        ? name
        : name + Arrays.stream(method.getParameterTypes()).map(Class::getSimpleName).toList();
  }

  private <T> T watched(Class<T> type, T real) {
    return type.cast(
        Proxy.newProxyInstance(
            type.getClassLoader(),
            new Class<?>[] {type},
            (proxy, method, arguments) -> {
              if (method.getDeclaringClass() != Object.class) {
                called.add(signature(method));
              }
              Object result;
              try {
                result = method.invoke(real, arguments);
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
              if (result instanceof TrainingOps training) {
                return watched(TrainingOps.class, training);
              }
              return result instanceof GradientOps gradients
                  ? watched(GradientOps.class, gradients)
                  : result;
            }));
  }
}
