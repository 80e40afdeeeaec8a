package dev.longalign.cli.verify;

/**
 * What one case gave.
 *
 * @param area the folder
 * @param name the file and what of it, for example {@code forward.out_t999}
 * @param status the verdict
 * @param error the largest error per unit of the tensor's largest magnitude; for what must be
 *     equal, the part that is not; null if nothing was compared
 * @param tolerance the error allowed there
 * @param where the place of the largest error; null unless it failed by a value
 * @param message why it failed or was left out; null if it passed
 * @param seconds it took
 */
public record CaseResult(
    String area,
    String name,
    Status status,
    Double error,
    Double tolerance,
    Where where,
    String message,
    double seconds) {

  /** The verdict. */
  public enum Status {
    PASS,
    FAIL,
    SKIP
  }

  /**
   * A value that is not as expected.
   *
   * @param tensor what was compared
   * @param index the place in it, for example {@code [0, 3, 7, 7]}
   * @param expected by the reference
   * @param got from this implementation
   */
  public record Where(String tensor, String index, Object expected, Object got) {}

  /** {@code area/name}. */
  public String path() {
    return area + "/" + name;
  }
}
