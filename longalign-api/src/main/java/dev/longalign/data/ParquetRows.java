package dev.longalign.data;

import dev.longalign.LongAlignException;
import dev.longalign.io.Names;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.parquet.ParquetReadOptions;
import org.apache.parquet.column.page.PageReadStore;
import org.apache.parquet.conf.PlainParquetConfiguration;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.example.data.simple.convert.GroupRecordConverter;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.hadoop.metadata.BlockMetaData;
import org.apache.parquet.hadoop.metadata.ColumnChunkMetaData;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.apache.parquet.io.ColumnIOFactory;
import org.apache.parquet.io.LocalInputFile;
import org.apache.parquet.io.RecordReader;
import org.apache.parquet.schema.GroupType;
import org.apache.parquet.schema.LogicalTypeAnnotation.StringLogicalTypeAnnotation;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName;
import org.apache.parquet.schema.Type;

/** One Parquet file with captions and pictures: the only class that knows the Parquet library. */
final class ParquetRows {
  private static final String BYTES = "bytes";
  private static final String PATH = "path";
  private static final int SHOWN = 12;
  private static final Set<CompressionCodecName> CODECS =
      EnumSet.of(
          CompressionCodecName.UNCOMPRESSED,
          CompressionCodecName.SNAPPY,
          CompressionCodecName.GZIP,
          CompressionCodecName.LZ4_RAW,
          CompressionCodecName.ZSTD);

  private final Path path;
  private final ParquetColumns columns;
  private final MessageType texts;
  private final MessageType pictures;
  private final boolean structure;
  private final long[] firstRows;

  private ParquetRows(Path path, ParquetColumns columns, MessageType schema, long[] firstRows) {
    this.path = path;
    this.columns = columns;
    this.firstRows = firstRows;
    Type caption = column(schema, columns.caption(), "captions");
    if (!isBinary(caption)) {
      throw refusal(columns.caption(), "strings", caption);
    }
    Type picture = column(schema, columns.picture(), "pictures");
    this.structure = !picture.isPrimitive();
    if (structure) {
      GroupType group = picture.asGroupType();
      boolean usable =
          picture.getRepetition() != Type.Repetition.REPEATED
              && group.containsField(BYTES)
              && isBinary(group.getType(BYTES));
      if (!usable) {
        throw refusal(columns.picture(), "paths, bytes, or a structure of bytes and path", picture);
      }
      boolean named = group.containsField(PATH) && isBinary(group.getType(PATH));
      this.texts =
          named ? message(caption, group.withNewFields(group.getType(PATH))) : message(caption);
      this.pictures = message(group.withNewFields(group.getType(BYTES)));
    } else if (!isBinary(picture)) {
      throw refusal(columns.picture(), "paths, bytes, or a structure of bytes and path", picture);
    } else if (picture.getLogicalTypeAnnotation() instanceof StringLogicalTypeAnnotation) {
      this.texts = message(caption, picture);
      this.pictures = null;
    } else {
      this.texts = message(caption);
      this.pictures = message(picture);
    }
  }

  static ParquetRows open(Path path, ParquetColumns columns) {
    try (ParquetFileReader reader = reader(path)) {
      List<BlockMetaData> groups = reader.getRowGroups();
      long[] firstRows = new long[groups.size() + 1];
      for (int i = 0; i < groups.size(); i++) {
        firstRows[i + 1] = firstRows[i] + groups.get(i).getRowCount();
      }
      ParquetRows rows =
          new ParquetRows(path, columns, reader.getFileMetaData().getSchema(), firstRows);
      rows.checkCompression(groups);
      return rows;
    } catch (LongAlignException refusal) {
      throw refusal;
    } catch (IOException | RuntimeException damaged) {
      throw new LongAlignException(
          path + ": not a readable Parquet file: " + reason(damaged), damaged);
    }
  }

  /** The other codecs need libraries that are not on the class path. */
  private void checkCompression(List<BlockMetaData> groups) {
    for (BlockMetaData group : groups) {
      for (ColumnChunkMetaData chunk : group.getColumns()) {
        String column = chunk.getPath().toArray()[0];
        boolean used = column.equals(columns.caption()) || column.equals(columns.picture());
        if (used && !CODECS.contains(chunk.getCodec())) {
          throw new LongAlignException(
              path
                  + ": column '"
                  + column
                  + "' is compressed with "
                  + chunk.getCodec()
                  + ", which is not read here; write it with one of "
                  + CODECS);
        }
      }
    }
  }

  private static ParquetFileReader reader(Path path) throws IOException {
    ParquetNatives.prepare();
    return ParquetFileReader.open(
        new LocalInputFile(path),
        ParquetReadOptions.builder(new PlainParquetConfiguration()).build());
  }

  private Type column(MessageType schema, String name, String what) {
    if (!schema.containsField(name)) {
      List<String> found = schema.getFields().stream().map(Type::getName).toList();
      String shown =
          found.stream().limit(SHOWN).map(Names::printable).collect(Collectors.joining(", "));
      String key =
          what.equals("captions")
              ? "captionColumn (--caption-column)"
              : "pictureColumn (--picture-column)";
      throw new LongAlignException(
          path
              + ": no column '"
              + name
              + "' for the "
              + what
              + "; it has "
              + shown
              + (found.size() > SHOWN ? ", ..." : "")
              + ". Name the right one with "
              + key);
    }
    return schema.getType(name);
  }

  private static boolean isBinary(Type type) {
    return type.isPrimitive()
        && type.getRepetition() != Type.Repetition.REPEATED
        && type.asPrimitiveType().getPrimitiveTypeName() == PrimitiveTypeName.BINARY;
  }

  private LongAlignException refusal(String column, String expected, Type found) {
    return new LongAlignException(
        path
            + ": column '"
            + column
            + "': expected "
            + expected
            + ", found "
            + Names.printable("" + found));
  }

  private static MessageType message(Type... fields) {
    return new MessageType("rows", fields);
  }

  Path path() {
    return path;
  }

  long rows() {
    return firstRows[firstRows.length - 1];
  }

  /** Whether the file has pictures in it (in some rows at least). */
  boolean embeds() {
    return pictures != null;
  }

  /** The row group of a row. */
  int group(long row) {
    int group = 0;
    while (firstRows[group + 1] <= row) {
      group++;
    }
    return group;
  }

  long firstRow(int group) {
    return firstRows[group];
  }

  /** Copies captions and paths; a row group that cannot be read is copied as damaged rows. */
  void copyTo(RowSpool spool) {
    for (int group = 0; group < firstRows.length - 1; group++) {
      List<RowSpool.Row> rows = new ArrayList<>();
      try {
        for (Group record : read(group, texts)) {
          String pathText =
              structure
                  ? nested(record)
                  : pictures == null ? text(record, columns.picture()) : null;
          rows.add(new RowSpool.Row(text(record, columns.caption()), pathText));
        }
        rows.forEach(spool::add);
      } catch (IOException | RuntimeException damaged) {
        if (damaged instanceof LongAlignException refusal) {
          throw refusal; // of the spool
        }
        for (long row = firstRows[group]; row < firstRows[group + 1]; row++) {
          spool.addDamaged(path + " row " + row + ": its row group is damaged: " + reason(damaged));
        }
      }
    }
  }

  private String nested(Group record) {
    boolean named = texts.containsField(columns.picture());
    return named && record.getFieldRepetitionCount(columns.picture()) > 0
        ? text(record.getGroup(columns.picture(), 0), PATH)
        : null;
  }

  private static String text(Group record, String field) {
    return record.getFieldRepetitionCount(field) == 0
        ? null
        : record.getBinary(field, 0).toStringUsingUTF8();
  }

  /** The picture files of a row group; null where a row has none. */
  List<byte[]> pictures(int group) {
    try {
      List<byte[]> files = new ArrayList<>();
      for (Group record : read(group, pictures)) {
        Group holder = record;
        String field = columns.picture();
        if (structure) {
          holder = record.getFieldRepetitionCount(field) == 0 ? null : record.getGroup(field, 0);
          field = BYTES;
        }
        boolean there = holder != null && holder.getFieldRepetitionCount(field) > 0;
        files.add(there ? holder.getBinary(field, 0).getBytes() : null);
      }
      return files;
    } catch (LongAlignException refusal) {
      throw refusal;
    } catch (IOException | RuntimeException damaged) {
      throw new LongAlignException(
          path
              + " rows "
              + firstRows[group]
              + " to "
              + (firstRows[group + 1] - 1)
              + ": the row group is damaged: "
              + reason(damaged),
          damaged);
    }
  }

  private List<Group> read(int group, MessageType schema) throws IOException {
    try (ParquetFileReader reader = reader(path)) {
      reader.setRequestedSchema(schema);
      PageReadStore pages = reader.readRowGroup(group);
      RecordReader<Group> records =
          new ColumnIOFactory()
              .getColumnIO(schema)
              .getRecordReader(pages, new GroupRecordConverter(schema));
      List<Group> rows = new ArrayList<>();
      for (long row = 0; row < pages.getRowCount(); row++) {
        rows.add(records.read());
      }
      return rows;
    } catch (OutOfMemoryError tooLarge) { // one large array that was refused; nothing is broken
      throw new LongAlignException(
          path
              + ": a row group is too large for the memory of this process; raise -Xmx, or write"
              + " groups of some hundred pictures",
          tooLarge);
    }
  }

  private static String reason(Exception damaged) {
    return Names.printable(
        damaged.getMessage() == null ? damaged.toString() : damaged.getMessage());
  }
}
