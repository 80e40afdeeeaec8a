package dev.longalign.text;

import java.util.List;
import java.util.Objects;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** {@code re.split('"!|\.|\?|;"', caption)}, empty parts dropped, a full stop put after each. */
enum ReferenceSplitter implements SegmentSplitter {
  INSTANCE;

  private static final Pattern MARK = Pattern.compile("\"!|\\.|\\?|;\"");

  @Override
  public List<String> split(String caption) {
    Objects.requireNonNull(caption, "caption");
    List<String> segments =
        MARK.splitAsStream(caption)
            .filter(part -> !part.isEmpty())
            .map(part -> part + ".")
            .collect(Collectors.toUnmodifiableList());
    return segments.isEmpty() ? List.of(caption) : segments;
  }
}
