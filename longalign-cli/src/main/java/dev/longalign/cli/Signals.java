package dev.longalign.cli;

import java.io.PrintWriter;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.concurrent.CancellationException;

/**
 * Ctrl-C (INT), TERM and HUP. The first lets work end after the step under way, so that what is
 * done is saved and nothing stays behind; the second ends the process at once, and so does the
 * first where no such work runs. Exit codes are the shell's: 128 and the signal's number.
 *
 * <p>Not a shutdown hook: hooks run side by side, and those of native libraries close them while
 * the step under way still computes in them.
 */
final class Signals {
  private static final int[] NUMBERS = {1, 2, 15};
  private static final String[] NAMES = {"HUP", "INT", "TERM"};
  private static final int EXIT_CODE_OF_SIGNALS = 128;

  private final PrintWriter err;
  private Runnable cancel;
  private volatile int received;

  /**
   * @param err where the user is told
   */
  Signals(PrintWriter err) {
    this.err = err;
  }

  /** Listens from now on. A signal that the parent process has set to be ignored stays ignored. */
  void install() {
    for (int i = 0; i < NAMES.length; i++) {
      int number = NUMBERS[i];
      handle(NAMES[i], () -> receive(number));
    }
  }

  /**
   * Calls a listener on every signal of a name, on a thread of its own. By reflection, since not
   * every runtime has the module jdk.unsupported: without it, signals do what they usually do.
   */
  static void handle(String name, Runnable listener) {
    try {
      Class<?> signals = Class.forName("sun.misc.Signal");
      Class<?> handlers = Class.forName("sun.misc.SignalHandler");
      Object handler =
          Proxy.newProxyInstance(
              handlers.getClassLoader(),
              new Class<?>[] {handlers},
              (proxy, method, arguments) -> {
                if (!method.getName().equals("handle")) {
                  return method.getName().equals("equals") ? proxy == arguments[0] : 0;
                }
                listener.run();
                return null;
              });
      Object signal = signals.getConstructor(String.class).newInstance(name);
      var handle = signals.getMethod("handle", signals, handlers);
      Object before = handle.invoke(null, signal, handler);
      Object ignore = handlers.getField("SIG_IGN").get(null);
      if (ignore.equals(before)) { // nohup, or in the background of a script
        handle.invoke(null, signal, ignore);
      }
    } catch (ReflectiveOperationException | IllegalArgumentException notHere) {
      if (notHere instanceof InvocationTargetException failed
          && failed.getCause() instanceof Error error) {
        throw error;
      }
      // No such module, no such signal, or the JVM was told to leave it alone (-Xrs).
    }
  }

  private synchronized void receive(int number) {
    if (received != 0 || cancel == null) {
      end(number, received == 0 ? "cancelled" : "cancelled at once");
      return;
    }
    received = number;
    say("cancelled; the step under way ends first, a second signal ends at once");
    cancel.run();
  }

  private void end(int number, String message) {
    say(message);
    // Files are whole at any time, and hooks would wait for the step under way.
    Runtime.getRuntime().halt(EXIT_CODE_OF_SIGNALS + number);
  }

  private void say(String message) {
    err.println("longalign: " + message);
    err.flush();
  }

  /** Work that a signal lets end: from now on until it is closed. */
  synchronized Work during(Runnable cancel) {
    this.cancel = cancel;
    return new Work();
  }

  final class Work implements AutoCloseable {
    @Override
    public void close() {
      synchronized (Signals.this) {
        if (received == 0) { // else the command is ending, and a second signal may hurry it
          cancel = null;
        }
      }
    }
  }

  /**
   * @throws Cancelled with this message if a signal came
   */
  void check(String message) {
    if (received != 0) {
      throw new Cancelled(message);
    }
  }

  boolean received() {
    return received != 0;
  }

  /** Ends a command after a signal; the message, if there is one, is for the user. */
  static final class Cancelled extends CancellationException {
    private static final long serialVersionUID = 1;

    Cancelled(String message) {
      super(message);
    }
  }

  /** The exit code of the process, if that of its command is {@code code}. */
  int exitCode(int code) {
    boolean failed = code != ExitCode.OK && code != ExitCode.CANCELLED;
    return received == 0 || failed ? code : EXIT_CODE_OF_SIGNALS + received;
  }
}
