package dev.longalign.io;

import dev.longalign.LongAlignException;
import dev.longalign.io.TorchGlobals.StorageRef;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A file of {@code torch.save}, in the zip format or the stream format before torch 1.6, read by an
 * interpreter that knows tensors, dicts, lists, tuples, sets and scalars and executes nothing;
 * other objects beside the tensors are left out. Tensors of nested dicts and lists are named by
 * their path ({@code state.0.exp_avg}); views that are not contiguous are copied when their data is
 * asked for.
 *
 * <pre>{@code
 * try (TorchFile file = TorchFile.open(Path.of("s28750_lora_vis.pt"))) {
 *   List<StoredTensor> lora = file.list();      // a bare list [up0, down0, up1, down1, ...]
 * }
 * }</pre>
 */
public final class TorchFile implements TensorFile {
  private static final BigInteger LEGACY_MAGIC = new BigInteger("1950a86a20f9469cfc6c", 16);
  private static final long LEGACY_PROTOCOL = 1001;
  private static final long MAX_PICKLE = 64L << 20;
  private static final String PICKLE = "/data.pkl";

  private final InputFile file;
  private final TorchTree tree;

  private TorchFile(InputFile file, TorchTree tree) {
    this.file = file;
    this.tree = tree;
  }

  /**
   * Opens and checks a file; all tensors are known to be in range afterwards.
   *
   * @throws LongAlignException if it is no torch file, damaged, an object of a class instead of
   *     tensors, or made to do harm
   */
  public static TorchFile open(Path path) {
    InputFile file = InputFile.open(path);
    if (!looksLikeTorch(file)) {
      throw refusal(
          file,
          (file.size() == 0 ? "it is empty" : "it begins with " + beginning(file)) + file.hint());
    }
    return new TorchFile(file, isZip(file) ? readZip(file) : readLegacy(file));
  }

  /** Whether a file begins as a zip archive or a pickle. */
  static boolean looksLikeTorch(InputFile file) {
    return isZip(file) || file.size() >= 2 && (file.slice(0, 1).get() & 0xff) == 0x80;
  }

  private static boolean isZip(InputFile file) {
    return file.size() >= 4 && file.slice(0, 4).getInt() == 0x04034b50;
  }

  private static TorchTree readZip(InputFile file) {
    ZipDirectory zip = ZipDirectory.read(file);
    Map<String, ZipDirectory.Entry> entries = zip.entries();
    List<String> pickles =
        entries.keySet().stream()
            .filter(
                name ->
                    name.endsWith(PICKLE) && name.indexOf('/') == name.length() - PICKLE.length())
            .toList();
    if (pickles.size() != 1) {
      throw refusal(
          file, "expected one entry NAME/data.pkl in the archive, found " + pickles.size());
    }
    String root = pickles.get(0).substring(0, pickles.get(0).length() - "data.pkl".length());
    if (entries.containsKey(root + "constants.pkl")) {
      throw refusal(
          file, "it is a TorchScript archive, which contains code; save the state dict instead");
    }
    checkByteOrder(file, zip, entries.get(root + "byteorder"));
    Map<String, ZipDirectory.Entry> storages = new LinkedHashMap<>();
    entries.forEach(
        (name, entry) -> {
          if (name.startsWith(root + "data/")) {
            storages.put(name.substring((root + "data/").length()), entry);
          }
        });
    ZipDirectory.Entry pickle = entries.get(pickles.get(0));
    if (pickle.size() > MAX_PICKLE) {
      throw refusal(
          file, "a pickle of " + pickle.size() + " bytes; at most " + MAX_PICKLE + " are read");
    }
    Object value = new PickleMachine(new PickleInput(file.source(), zip.content(pickle))).run();
    return new TorchTree(file.source(), new TorchStorages(file, zip, storages), value);
  }

  private static void checkByteOrder(InputFile file, ZipDirectory zip, ZipDirectory.Entry entry) {
    if (entry == null) {
      return; // older torch did not write it
    }
    String order =
        entry.size() > 16
            ? "?"
            : StandardCharsets.US_ASCII.decode(zip.content(entry)).toString().strip();
    if (!order.equals("little")) {
      throw refusal(
          file, "byte order '" + Names.printable(order) + "'; only little-endian files are read");
    }
  }

  /**
   * Five pickles (magic number, protocol, system, value, storage keys), then each storage's length
   * and bytes.
   */
  private static TorchTree readLegacy(InputFile file) {
    PickleInput in =
        new PickleInput(file.source(), file.slice(0, Math.min(file.size(), MAX_PICKLE)));
    if (!LEGACY_MAGIC.equals(new PickleMachine(in).run())) {
      throw refusal(file, "it is a pickle, but not one of torch.save");
    }
    if (!Long.valueOf(LEGACY_PROTOCOL).equals(new PickleMachine(in).run())) {
      throw refusal(file, "its protocol is not " + LEGACY_PROTOCOL);
    }
    Object system = new PickleMachine(in).run();
    if (system instanceof PickleMachine.Dict dict
        && Boolean.FALSE.equals(dict.entries.get("little_endian"))) {
      throw refusal(file, "big-endian; only little-endian files are read");
    }
    PickleMachine machine = new PickleMachine(in);
    Object value = machine.run();
    Object keys = new PickleMachine(in).run();
    return new TorchTree(
        file.source(), legacyStorages(file, machine.storages(), keys, in.position()), value);
  }

  /** Lengths are in elements, whose type only the views know. */
  private static TorchStorages legacyStorages(
      InputFile file, Map<String, StorageRef> used, Object keys, long start) {
    if (!(keys instanceof List<?> list)) {
      throw refusal(file, "its storage keys are no list");
    }
    Map<String, ZipDirectory.Entry> storages = new LinkedHashMap<>();
    long at = start;
    for (Object item : list) {
      if (!(item instanceof String key) || !used.containsKey(key) || storages.containsKey(key)) {
        throw refusal(file, "one of its storage keys belongs to no tensor or occurs twice");
      }
      if (file.size() - at < 8) {
        throw refusal(file, "storage '" + key + "' is missing (an incomplete download?)");
      }
      int width = used.get(key).type().width();
      long elements = file.slice(at, 8).getLong();
      at += 8;
      if (elements < 0 || elements > (file.size() - at) / width) {
        throw refusal(
            file,
            "storage '"
                + key
                + "' claims "
                + elements
                + " elements of "
                + width
                + " bytes, the file has "
                + (file.size() - at)
                + " bytes left (an incomplete download?)");
      }
      storages.put(key, new ZipDirectory.Entry(key, false, at, elements * width, elements * width));
      at += elements * width;
    }
    return new TorchStorages(file, null, storages);
  }

  private static String beginning(InputFile file) {
    byte[] start = new byte[(int) Math.min(file.size(), 16)];
    file.slice(0, start.length).get(start);
    return "'" + Names.printable(new String(start, StandardCharsets.ISO_8859_1)) + "'";
  }

  private static LongAlignException refusal(InputFile file, String reason) {
    return new LongAlignException(file.source() + ": not a readable torch file: " + reason);
  }

  public Path path() {
    return file.path();
  }

  /**
   * The whole content: {@link Map}, {@link List} (also for tuples and sets), {@link StoredTensor},
   * String, Long, BigInteger, Double, Boolean, read-only {@link java.nio.ByteBuffer} or null; of
   * other objects the name of their class. Unmodifiable.
   */
  public Object value() {
    return tree.root();
  }

  /** Whether the content is a bare list of tensors (or one tensor). */
  public boolean isList() {
    return value() instanceof StoredTensor
        || value() instanceof List<?> list
            && list.stream().allMatch(StoredTensor.class::isInstance);
  }

  /**
   * The tensors of a bare list, in order; a single tensor is a list of one.
   *
   * @throws LongAlignException if the content is something else
   */
  public List<StoredTensor> list() {
    if (!isList()) {
      String found =
          value() instanceof Map<?, ?> map
              ? "a dict with the keys "
                  + map.keySet().stream().limit(3).map(k -> Names.printable("" + k)).toList()
              : "something else";
      throw new LongAlignException(source() + ": expected a bare list of tensors, found " + found);
    }
    return new ArrayList<>(tree.tensors().values());
  }

  @Override
  public Set<String> names() {
    return tree.names();
  }

  @Override
  public Map<String, String> unsupported() {
    return tree.unsupported();
  }

  @Override
  public StoredTensor tensor(String name) {
    return TensorFiles.find(this, tree.tensors(), name);
  }

  /** The scalars beside the tensors, by path. */
  @Override
  public Map<String, String> metadata() {
    return tree.scalars();
  }

  @Override
  public String source() {
    return file.source();
  }

  /** Nothing is held open. */
  @Override
  public void close() {}

  @Override
  public String toString() {
    return source() + " (" + names().size() + " tensors)";
  }
}
