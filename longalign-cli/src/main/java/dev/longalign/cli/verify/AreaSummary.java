package dev.longalign.cli.verify;

import dev.longalign.cli.verify.CaseResult.Status;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What the cases of one folder gave together.
 *
 * @param area the folder
 * @param passed how many did
 * @param failed how many did
 * @param skipped how many were left out
 * @param error of the case that is nearest to its tolerance, or furthest beyond; null if nothing
 *     was compared
 * @param tolerance of that case
 * @param worst the name of that case
 * @param seconds all cases took
 */
public record AreaSummary(
    String area,
    long passed,
    long failed,
    long skipped,
    Double error,
    Double tolerance,
    String worst,
    double seconds) {

  /** One summary for every folder, in the order of the results. */
  public static List<AreaSummary> of(List<CaseResult> results) {
    Map<String, List<CaseResult>> byArea = new LinkedHashMap<>();
    results.forEach(r -> byArea.computeIfAbsent(r.area(), area -> new ArrayList<>()).add(r));
    return byArea.entrySet().stream().map(e -> of(e.getKey(), e.getValue())).toList();
  }

  private static AreaSummary of(String area, List<CaseResult> results) {
    CaseResult worst = null;
    for (CaseResult result : results) {
      if (result.error() != null && (worst == null || closeness(result) > closeness(worst))) {
        worst = result;
      }
    }
    return new AreaSummary(
        area,
        count(results, Status.PASS),
        count(results, Status.FAIL),
        count(results, Status.SKIP),
        worst == null ? null : worst.error(),
        worst == null ? null : worst.tolerance(),
        worst == null ? null : worst.name(),
        results.stream().mapToDouble(CaseResult::seconds).sum());
  }

  private static double closeness(CaseResult result) {
    return Comparison.closeness(result.error(), result.tolerance());
  }

  /** How many have that status. */
  public static long count(List<CaseResult> results, Status status) {
    return results.stream().filter(result -> result.status() == status).count();
  }
}
