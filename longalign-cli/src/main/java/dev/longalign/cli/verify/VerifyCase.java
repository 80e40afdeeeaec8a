package dev.longalign.cli.verify;

import dev.longalign.LongAlignException;
import dev.longalign.cli.verify.CaseResult.Status;
import dev.longalign.io.Reasons;
import dev.longalign.tensor.TensorScope;

/**
 * Something to compare, not yet computed.
 *
 * @param area the folder
 * @param name the file and what of it
 * @param body computes and compares
 */
record VerifyCase(String area, String name, Body body) {

  /** Says with {@link Comparison} what was found. */
  interface Body {
    void run(Comparison comparison) throws Exception;
  }

  /** Thrown by a body that turns out not to apply. */
  static final class Skipped extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Skipped(String why) {
      super(why, null, false, false);
    }
  }

  static VerifyCase skipped(String area, String name, String why) {
    return new VerifyCase(
        area,
        name,
        comparison -> {
          throw new Skipped(why);
        });
  }

  String path() {
    return area + "/" + name;
  }

  /** Never throws, except errors of the virtual machine. */
  CaseResult run() {
    long start = System.nanoTime();
    Comparison comparison = new Comparison();
    Status status;
    String message;
    try (TensorScope scope = TensorScope.open()) {
      body.run(comparison);
      status = comparison.passed() ? Status.PASS : Status.FAIL;
      message = comparison.message();
    } catch (Skipped e) {
      status = Status.SKIP;
      message = e.getMessage();
    } catch (LongAlignException e) {
      status = Status.FAIL;
      message = e.getMessage();
    } catch (Exception e) {
      status = Status.FAIL;
      message = "the vectors are damaged, or of a kind that is not known: " + Reasons.of(e);
    }
    double seconds = (System.nanoTime() - start) * 1e-9;
    return new CaseResult(
        area,
        name,
        status,
        comparison.error(),
        comparison.tolerance(),
        comparison.where(),
        message,
        seconds);
  }
}
