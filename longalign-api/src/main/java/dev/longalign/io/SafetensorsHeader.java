package dev.longalign.io;

import com.google.gson.JsonParseException;
import com.google.gson.Strictness;
import com.google.gson.stream.JsonReader;
import com.google.gson.stream.JsonToken;
import com.google.gson.stream.MalformedJsonException;
import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.io.IOException;
import java.io.StringReader;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The JSON header of a safetensors file, read as a stream (no recursion, no number parsed before it
 * is known to be a plain integer) and checked as the format's description demands: byte ranges lie
 * in the file, fit type and shape, and follow each other without hole or overlap up to the last
 * byte.
 */
final class SafetensorsHeader {
  /** The limit of the reference library. */
  static final long MAX_BYTES = 100_000_000;

  private static final Pattern INTEGER = Pattern.compile("0|[1-9][0-9]{0,18}");
  private static final int MAX_RANK = 64;

  /** Types of the format that no model here has, by their bits. */
  private static final Map<String, Integer> FOREIGN =
      Map.of(
          "C64",
          64,
          "F8_E8M0",
          8,
          "F8_E4M3FNUZ",
          8,
          "F8_E5M2FNUZ",
          8,
          "F6_E2M3",
          6,
          "F6_E3M2",
          6,
          "F4",
          4);

  private final String source;
  private final Map<String, Entry> entries = new LinkedHashMap<>();
  private final Map<String, String> metadata = new LinkedHashMap<>();

  private SafetensorsHeader(String source) {
    this.source = source;
  }

  /**
   * Offsets count from the end of the header.
   *
   * @param type as the file calls it
   * @param dtype null if it is not supported
   */
  record Entry(String type, DType dtype, Shape shape, long begin, long end) {}

  static SafetensorsHeader parse(String source, String json, long dataBytes) {
    SafetensorsHeader header = new SafetensorsHeader(source);
    JsonReader reader = new JsonReader(new StringReader(json));
    reader.setStrictness(Strictness.STRICT);
    try {
      header.readObject(reader);
    } catch (MalformedJsonException | JsonParseException | IllegalStateException invalid) {
      throw header.refusal("the header is not valid JSON: " + Reasons.of(invalid));
    } catch (IOException cut) {
      throw header.refusal("the header is not valid JSON: it ends early");
    }
    header.checkRanges(dataBytes);
    return header;
  }

  Map<String, Entry> entries() {
    return entries;
  }

  Map<String, String> metadata() {
    return metadata;
  }

  private void readObject(JsonReader reader) throws IOException {
    expect(reader, JsonToken.BEGIN_OBJECT, "the header");
    reader.beginObject();
    boolean sawMetadata = false;
    while (reader.hasNext()) {
      String name = reader.nextName();
      if (name.equals("__metadata__")) {
        if (sawMetadata) {
          throw refusal("__metadata__ occurs twice");
        }
        sawMetadata = true;
        readMetadata(reader);
      } else if (entries.put(name, readEntry(reader, "tensor '" + Names.printable(name) + "'"))
          != null) {
        throw refusal("tensor '" + Names.printable(name) + "' occurs twice");
      }
    }
    reader.endObject();
    expect(reader, JsonToken.END_DOCUMENT, "after the header's object");
  }

  private void readMetadata(JsonReader reader) throws IOException {
    if (reader.peek() == JsonToken.NULL) {
      reader.nextNull();
      return;
    }
    expect(reader, JsonToken.BEGIN_OBJECT, "__metadata__");
    reader.beginObject();
    while (reader.hasNext()) {
      String key = reader.nextName();
      expect(reader, JsonToken.STRING, "__metadata__ key '" + Names.printable(key) + "'");
      if (metadata.put(key, reader.nextString()) != null) {
        throw refusal("__metadata__ key '" + Names.printable(key) + "' occurs twice");
      }
    }
    reader.endObject();
  }

  private Entry readEntry(JsonReader reader, String what) throws IOException {
    expect(reader, JsonToken.BEGIN_OBJECT, what);
    reader.beginObject();
    String dtype = null;
    List<Long> dims = null;
    List<Long> offsets = null;
    Set<String> seen = new HashSet<>();
    while (reader.hasNext()) {
      String key = reader.nextName();
      if (!seen.add(key)) {
        throw refusal(what + ": key '" + Names.printable(key) + "' occurs twice");
      }
      switch (key) {
        case "dtype" -> dtype = readDType(reader, what);
        case "shape" -> dims = readIntegers(reader, what + ": shape");
        case "data_offsets" -> offsets = readIntegers(reader, what + ": data_offsets");
        default -> reader.skipValue();
      }
    }
    reader.endObject();
    if (dtype == null || dims == null || offsets == null) {
      String missing = dtype == null ? "dtype" : dims == null ? "shape" : "data_offsets";
      throw refusal(what + " has no " + missing);
    } else if (offsets.size() != 2) {
      throw refusal(what + ": expected two data_offsets, found " + offsets.size());
    }
    return checked(what, dtype, dims, offsets.get(0), offsets.get(1));
  }

  private Entry checked(String what, String type, List<Long> dims, long begin, long end) {
    if (begin > end) {
      throw refusal(what + ": data_offsets [" + begin + ", " + end + "] run backwards");
    }
    Shape shape = Shape.of(dims.stream().mapToLong(Long::longValue).toArray());
    DType dtype = FOREIGN.containsKey(type) ? null : DType.valueOf(type);
    long bits;
    try {
      int width = dtype == null ? FOREIGN.get(type) : 8 * dtype.bytes();
      bits = Math.multiplyExact(shape.size(), (long) width);
    } catch (ArithmeticException overflow) {
      throw refusal(what + ": shape " + shape + " is larger than 64 bits can count");
    }
    if (bits % 8 != 0) {
      throw refusal(what + ": " + type + " " + shape + " does not end at a whole byte");
    }
    long bytes = bits / 8;
    if (bytes != end - begin) {
      throw refusal(
          what
              + ": "
              + type
              + " "
              + shape
              + " takes "
              + bytes
              + " bytes, data_offsets ["
              + begin
              + ", "
              + end
              + "] give "
              + (end - begin));
    }
    return new Entry(type, dtype, shape, begin, end);
  }

  private String readDType(JsonReader reader, String what) throws IOException {
    expect(reader, JsonToken.STRING, what + ": dtype");
    String name = reader.nextString();
    if (FOREIGN.containsKey(name)
        || Stream.of(DType.values()).anyMatch(dtype -> dtype.name().equals(name))) {
      return name;
    }
    throw refusal(
        what
            + ": dtype '"
            + Names.printable(name)
            + "' is not supported; supported are "
            + List.of(DType.values()));
  }

  private List<Long> readIntegers(JsonReader reader, String what) throws IOException {
    expect(reader, JsonToken.BEGIN_ARRAY, what);
    List<Long> list = new ArrayList<>();
    reader.beginArray();
    while (reader.hasNext()) {
      expect(reader, JsonToken.NUMBER, what);
      String text = reader.nextString();
      if (!INTEGER.matcher(text).matches()
          || text.length() == 19 && text.compareTo("9223372036854775807") > 0) {
        throw refusal(
            what + ": expected integers from 0 to 2^63 - 1, found " + Names.printable(text));
      }
      list.add(Long.parseLong(text));
      if (list.size() > MAX_RANK) {
        throw refusal(what + ": more than " + MAX_RANK + " numbers");
      }
    }
    reader.endArray();
    return list;
  }

  private void checkRanges(long dataBytes) {
    List<Map.Entry<String, Entry>> sorted = new ArrayList<>(entries.entrySet());
    sorted.sort(
        Comparator.<Map.Entry<String, Entry>>comparingLong(e -> e.getValue().begin())
            .thenComparingLong(e -> e.getValue().end()));
    long reached = 0;
    String previous = "the header";
    for (Map.Entry<String, Entry> named : sorted) {
      Entry entry = named.getValue();
      String what = "tensor '" + Names.printable(named.getKey()) + "'";
      if (entry.begin() < reached) {
        throw refusal(
            what
                + " begins at data byte "
                + entry.begin()
                + " inside of "
                + previous
                + ", which ends at "
                + reached);
      } else if (entry.begin() > reached) {
        throw refusal(
            "data bytes "
                + reached
                + " to "
                + entry.begin()
                + " between "
                + previous
                + " and "
                + what
                + " belong to no tensor");
      } else if (entry.end() > dataBytes) {
        throw refusal(
            what
                + " ends at data byte "
                + entry.end()
                + ", the file has "
                + dataBytes
                + " (an incomplete download?)");
      }
      reached = entry.end();
      previous = what;
    }
    if (reached != dataBytes) {
      throw refusal((dataBytes - reached) + " bytes after the last tensor belong to no tensor");
    }
  }

  private void expect(JsonReader reader, JsonToken expected, String what) throws IOException {
    JsonToken found = reader.peek();
    if (found != expected) {
      throw refusal(what + ": expected " + text(expected) + ", found " + text(found));
    }
  }

  private static String text(JsonToken token) {
    return switch (token) {
      case BEGIN_OBJECT -> "an object";
      case BEGIN_ARRAY -> "a list";
      case STRING -> "a string";
      case NUMBER -> "a number";
      case END_DOCUMENT -> "the end of the header";
      default -> token.name().toLowerCase(Locale.ROOT).replace('_', ' ');
    };
  }

  private LongAlignException refusal(String reason) {
    return new LongAlignException(source + ": not a valid safetensors file: " + reason);
  }
}
