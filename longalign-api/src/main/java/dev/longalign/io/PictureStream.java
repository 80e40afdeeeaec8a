package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import javax.imageio.stream.ImageInputStreamImpl;

/**
 * Pieces of a file in memory as one stream. Whoever reads on where it has ended gets an exception,
 * since ImageIO's readers would otherwise make up what is missing, some for minutes.
 */
final class PictureStream extends ImageInputStreamImpl {
  private final String source;
  private final List<ByteBuffer> pieces;
  private final long[] starts;
  private final int readAhead;
  private int current;

  /**
   * @param readAhead zeros that may be read behind the end, for readers that look ahead
   */
  PictureStream(String source, List<ByteBuffer> pieces, int readAhead) {
    this.source = source;
    this.pieces = pieces;
    this.readAhead = readAhead;
    this.starts = new long[pieces.size() + 1];
    for (int i = 0; i < pieces.size(); i++) {
      starts[i + 1] = starts[i] + pieces.get(i).limit();
    }
  }

  /** WebP's reader takes all of its bytes one by one. */
  @Override
  public int read() {
    long at = streamPos - starts[current];
    if (at < 0 || at >= pieces.get(current).limit()) {
      byte[] one = new byte[1];
      read(one, 0, 1);
      return one[0] & 255;
    }
    bitOffset = 0;
    streamPos++;
    return pieces.get(current).get((int) at) & 255;
  }

  @Override
  public int read(byte[] to, int offset, int length) {
    bitOffset = 0;
    if (length == 0) {
      return 0;
    }
    int count = 0;
    int start = find();
    current = Math.min(start, pieces.size() - 1);
    for (int piece = start; piece < pieces.size() && count < length; piece++) {
      ByteBuffer from = pieces.get(piece);
      int at = (int) (streamPos + count - starts[piece]);
      int part = Math.min(length - count, from.limit() - at);
      from.get(at, to, offset + count, part);
      count += part;
    }
    long zeros = starts[pieces.size()] + readAhead - streamPos - count;
    int part = (int) Math.max(0, Math.min(length - count, zeros));
    Arrays.fill(to, offset + count, offset + count + part, (byte) 0);
    count += part;
    if (count == 0) {
      throw new LongAlignException(source + ": the picture ends early");
    }
    streamPos += count;
    return count;
  }

  private int find() {
    int low = 0;
    int high = pieces.size();
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (starts[middle + 1] <= streamPos) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  @Override
  public long length() {
    return readAhead > 0 ? -1 : starts[pieces.size()];
  }
}
