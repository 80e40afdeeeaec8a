"""Makes the files of src/test/resources/dev/longalign/data with Pillow 12 and PyArrow 25:

    python data_fixtures.py DIRECTORY

pictures in several formats with the bytes that Pillow decodes (NAME.expected.png), and Parquet files as
Hugging Face's datasets library writes them.
"""
import io, math, pathlib, sys
import pyarrow as pa, pyarrow.parquet as pq
from PIL import Image

out = pathlib.Path(sys.argv[1])


def picture(width, height, phase=0.0):
    """Smooth colours, so that lossy formats stay close."""
    image = Image.new("RGB", (width, height))
    image.putdata([(int(127 + 120 * math.sin(x / 9 + phase)), int(127 + 120 * math.cos(y / 7 + phase)),
                    int(255 * (x + y) / (width + height))) for y in range(height) for x in range(width)])
    return image


def save(name, image, **options):
    image.save(out / name, **options)
    stored = Image.open(out / name)
    if name.startswith("rgba"):  # transparency over white
        white = Image.new("RGBA", stored.size, "white")
        stored = Image.alpha_composite(white, stored.convert("RGBA"))
    stored.convert("RGB").save(out / (name + ".expected.png"))


base = picture(40, 28)
save("baseline.jpg", base, quality=90, subsampling=0)
save("subsampled.jpg", base, quality=90)
save("progressive.jpg", base, quality=90, progressive=True, subsampling=0)
save("grey.jpg", base.convert("L"), quality=90)
save("lossless.webp", base, lossless=True)
save("lossy.webp", picture(40, 28).resize((160, 112), Image.BICUBIC), quality=90)
save("plain.png", base)
save("grey.png", base.convert("L"))
save("palette.png", base.quantize(32))
rgba = base.copy()
rgba.putalpha(Image.linear_gradient("L").resize(base.size))
save("rgba.png", rgba)


def bytes_of(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


paths = ["pictures/0.png", "pictures/\u732b \u00fc.png", "pictures/missing.png", "../outside.png", None, "pictures/0.png"]
captions = ["First.\n\n Picture. ", "A cat.", "Not there.", "Outside.", "No path.", None]
for codec in ("snappy", "zstd", "gzip", "lz4", "brotli"):  # brotli: refused by name
    pq.write_table(pa.table({"path": paths, "caption": captions, "id": list(range(6))}), out / f"paths-{codec}.parquet",
                   compression=codec, row_group_size=4)
images = [{"bytes": bytes_of(picture(20, 16, i), "PNG"), "path": f"{i}.png"} for i in range(5)]
images[2] = {"bytes": b"no picture", "path": "2.png"}
images[3] = None
pq.write_table(pa.table({"text": [f"Picture {i}." for i in range(5)], "image": images}), out / "embedded.parquet",
               row_group_size=2)
