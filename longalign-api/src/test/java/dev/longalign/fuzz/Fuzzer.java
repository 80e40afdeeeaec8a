package dev.longalign.fuzz;

import dev.longalign.LongAlignException;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Gives damaged inputs to a reader. The answer to any input is a content or a {@link
 * LongAlignException} with one sentence, within five seconds and the memory of the process: any
 * other is a fault, kept with its input in the given folder.
 */
public final class Fuzzer {
  private static final int LIMIT_SECONDS = 5;
  private static final int LONGEST_MESSAGE = 2000;
  private static final int ENOUGH_FAULTS = 5;

  /** What reads one input. */
  @FunctionalInterface
  public interface Reader {
    void read(Path input) throws Exception;
  }

  /**
   * What is tried.
   *
   * @param name of the kind of input
   * @param file the input's place below a folder of its own
   * @param seeds valid inputs
   */
  public record Kind(String name, Path file, List<byte[]> seeds, Reader reader) {}

  /**
   * What came out.
   *
   * @param slowest in milliseconds
   * @param faults empty if all is well; each names the input
   */
  public record Report(String kind, int inputs, int refused, long slowest, List<String> faults) {
    @Override
    public String toString() {
      return "%-22s %,9d inputs, %,9d refused, slowest %5d ms, %d faults"
          .formatted(kind, inputs, refused, slowest, faults.size());
    }
  }

  private final Path folder;
  private final Path kept;

  /**
   * @param folder where inputs are written, one after the other
   * @param kept where those that fail are kept
   */
  public Fuzzer(Path folder, Path kept) {
    this.folder = folder;
    this.kept = kept;
  }

  /** Tries so many inputs, the same for the same seed, or as many as there is time for. */
  public Report run(Kind kind, long seed, int inputs, long milliseconds) throws Exception {
    Mutator mutator = new Mutator(new Random(seed));
    Path input = folder.resolve(kind.file());
    Files.createDirectories(input.getParent());
    for (byte[] valid : kind.seeds()) {
      Files.write(input, valid);
      kind.reader().read(input); // a seed that is refused would try nothing
    }
    List<String> faults = new ArrayList<>();
    int refused = 0;
    int tried = 0;
    long slowest = 0;
    long begin = System.nanoTime();
    while (tried < inputs
        && faults.size() < ENOUGH_FAULTS
        && System.nanoTime() - begin < milliseconds * 1_000_000) {
      byte[] bytes = mutator.mutate(kind.seeds());
      Files.write(input, bytes);
      tried++;
      long start = System.nanoTime();
      String fault = read(kind.reader(), input);
      slowest = Math.max(slowest, (System.nanoTime() - start) / 1_000_000);
      if (REFUSED.equals(fault)) {
        refused++;
      } else if (fault != null) {
        faults.add(kept(kind, seed, tried, bytes) + ": " + fault);
        if (fault.startsWith(HANGS)) {
          break; // its thread goes on
        }
      }
    }
    return new Report(kind.name(), tried, refused, slowest, faults);
  }

  private static final String REFUSED = "refused";
  private static final String HANGS = "no answer after " + LIMIT_SECONDS + " s";

  private static String read(Reader reader, Path input) throws InterruptedException {
    FutureTask<String> task = new FutureTask<>(() -> answer(reader, input));
    Thread thread = new Thread(null, task, "fuzzed", 4 << 20);
    thread.setDaemon(true);
    thread.start();
    try {
      return task.get(LIMIT_SECONDS, TimeUnit.SECONDS);
    } catch (TimeoutException e) {
      StringBuilder stack = new StringBuilder(HANGS);
      for (StackTraceElement frame : thread.getStackTrace()) {
        stack.append("\n    at ").append(frame);
      }
      return stack.toString();
    } catch (ExecutionException e) {
      StringWriter trace = new StringWriter();
      e.getCause().printStackTrace(new PrintWriter(trace));
      return trace.toString().lines().limit(12).reduce("", (a, b) -> a + "\n" + b);
    }
  }

  private static String answer(Reader reader, Path input) throws Exception {
    try {
      reader.read(input);
      return null;
    } catch (LongAlignException refusal) {
      String message = String.valueOf(refusal.getMessage());
      if (message.length() > LONGEST_MESSAGE) {
        return "a message of " + message.length() + " characters: " + message.substring(0, 200);
      }
      if (message.chars().anyMatch(c -> c < ' ' && c != '\n')) {
        return "a message with control characters: " + message.replaceAll("\\p{Cntrl}", "?");
      }
      return REFUSED;
    }
  }

  private Path kept(Kind kind, long seed, int number, byte[] bytes) throws IOException {
    Path file = kept.resolve(kind.name() + "-" + seed + "-" + number);
    Files.createDirectories(kept);
    return Files.write(file, bytes);
  }
}
