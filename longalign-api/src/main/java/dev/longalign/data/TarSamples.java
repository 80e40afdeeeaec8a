package dev.longalign.data;

import dev.longalign.io.Names;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Puts the files of a shard together to samples, as WebDataset does: neighbours of one name up to
 * its first dot. Where that gives no picture with a caption, the name ends at the last dot ({@code
 * photo v1.5.jpg}), and halves of a sample that are not neighbours find each other.
 */
final class TarSamples {
  private static final int NAMED = 5;

  /** Where a file's bytes lie. */
  record Member(String name, long offset, int length) {
    /** The name up to the first or last dot of its last part; null for hidden files and without. */
    String key(boolean first) {
      int base = name.lastIndexOf('/') + 1;
      int dot = first ? name.indexOf('.', base) : name.lastIndexOf('.');
      return dot <= base ? null : name.substring(0, dot);
    }
  }

  /**
   * The files of one name, null where there is none; or, with {@code damage}, a place where the
   * shard cannot be read.
   */
  record Sample(String key, Member picture, Member text, Member json, String damage) {
    static Sample damaged(String reason) {
      return new Sample("", null, null, null, reason);
    }

    boolean isWhole() {
      return picture != null && (text != null || json != null);
    }

    private boolean isEmpty() {
      return picture == null && text == null && json == null;
    }

    private boolean completes(Sample other) {
      boolean captioned = text != null || json != null;
      return (picture == null) != (other.picture == null)
          && captioned == (picture == null)
          && (other.text != null || other.json != null) == (other.picture == null);
    }

    private Sample with(Sample other) {
      return picture == null
          ? new Sample(key, other.picture, text, json, null)
          : new Sample(key, picture, other.text, other.json, null);
    }
  }

  private final List<Sample> samples = new ArrayList<>();
  private final Map<String, Integer> halves = new HashMap<>();
  private final List<Member> group = new ArrayList<>();
  private final List<String> named = new ArrayList<>();
  private int unused;
  private int joined;

  /** The next file of the shard. */
  void add(Member member) {
    if (group.removeIf(earlier -> earlier.name.equals(member.name))) {
      unused(member.name, "repeated");
    }
    if (!group.isEmpty() && !group.get(0).key(true).equals(member.key(true))) {
      endGroup(false);
    }
    group.add(member);
  }

  /** A file that belongs to no sample. */
  void unused(String name, String reason) {
    unused++;
    if (named.size() < NAMED) {
      named.add(Names.printable(name) + " (" + reason + ")");
    }
  }

  /**
   * @param cut whether the shard ends in the middle of it: then only what is whole counts
   */
  void endGroup(boolean cut) {
    if (group.isEmpty()) {
      return;
    }
    Sample all = sample(group, true);
    List<Sample> parts = List.of(all);
    if (!all.isWhole()) {
      Map<String, List<Member>> byLastDot = new LinkedHashMap<>();
      group.forEach(m -> byLastDot.computeIfAbsent(m.key(false), k -> new ArrayList<>()).add(m));
      List<Sample> finer =
          withoutExtras(byLastDot.values().stream().map(some -> sample(some, false)).toList());
      parts = all.isEmpty() || finer.stream().anyMatch(Sample::isWhole) ? finer : parts;
    }
    for (Sample part : parts) {
      if (part.isEmpty()) {
        group.stream()
            .filter(m -> parts(part.key, m))
            .forEach(m -> unused(m.name, "neither a picture nor a caption"));
      } else if (part.isWhole() || !cut) {
        put(part);
      }
    }
    group.clear();
  }

  /** {@code a.b.seg.png} is one more file of {@code a.b}, if that is a sample. */
  private static List<Sample> withoutExtras(List<Sample> parts) {
    return parts.stream()
        .filter(
            part ->
                part.isWhole()
                    || parts.stream()
                        .noneMatch(o -> o.isWhole() && part.key.startsWith(o.key + ".")))
        .toList();
  }

  private static boolean parts(String key, Member member) {
    return key.equals(member.key(true)) || key.equals(member.key(false));
  }

  private static Sample sample(List<Member> members, boolean firstDot) {
    String key = members.get(0).key(firstDot);
    Member picture = null;
    Map<String, Member> captions = new HashMap<>();
    for (Member member : members) {
      String extension = member.name.substring(key.length() + 1).toLowerCase(Locale.ROOT);
      if (ImageFolderDataset.isPicture(extension)) {
        picture = member;
      } else {
        captions.put(extension, member);
      }
    }
    Member text = captions.getOrDefault("txt", captions.get("caption"));
    return new Sample(key, picture, text, captions.get("json"), null);
  }

  private void put(Sample sample) {
    Integer half = halves.get(sample.key);
    if (half != null && sample.completes(samples.get(half))) {
      samples.set(half, samples.get(half).with(sample));
      halves.remove(sample.key);
      joined++;
      return;
    }
    if (!sample.isWhole()) {
      halves.put(sample.key, samples.size());
    }
    samples.add(sample);
  }

  List<Sample> samples() {
    return samples;
  }

  /** What a person should know of the shard; empty if all is as it should be. */
  String remarks() {
    List<String> remarks = new ArrayList<>();
    if (joined > 0) {
      remarks.add(
          joined
              + " examples were put together from files that are not next to each other; pack"
              + " with tar --sort=name");
    }
    if (unused > 0) {
      remarks.add(
          unused
              + (unused == 1 ? " file belongs" : " files belong")
              + " to no example: "
              + String.join(", ", named)
              + (unused > named.size() ? ", ..." : ""));
    }
    return String.join("; ", remarks);
  }
}
