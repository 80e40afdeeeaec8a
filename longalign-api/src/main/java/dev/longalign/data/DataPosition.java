package dev.longalign.data;

import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.io.Config;
import java.util.Objects;

/**
 * Where a {@link DataLoader} stands, to be saved with a checkpoint and given to {@link
 * DataLoader.Builder#position}: the loader then continues with exactly the examples that would have
 * come.
 *
 * @param epoch from 0
 * @param index how many places of the epoch's order are behind; skipped examples count
 * @param order describes the order that this is a place in (seed, size); a loader of another order
 *     refuses the position
 */
public record DataPosition(long epoch, long index, String order) {
  public DataPosition {
    Objects.requireNonNull(order, "order");
    if (epoch < 0 || index < 0) {
      throw new LongAlignException(
          "a data position needs epoch and index of at least 0, found " + epoch + " and " + index);
    }
  }

  /** One line of JSON. */
  public String toJson() {
    JsonObject json = new JsonObject();
    json.addProperty("epoch", epoch);
    json.addProperty("index", index);
    json.addProperty("order", order);
    return json.toString();
  }

  /**
   * Reads what {@link #toJson} wrote.
   *
   * @throws LongAlignException if it is something else
   */
  public static DataPosition parse(String json) {
    Config config = Config.parse("data position", json);
    return new DataPosition(
        config.getLong("epoch"), config.getLong("index"), config.getString("order"));
  }
}
