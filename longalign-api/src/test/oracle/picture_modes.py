"""Writes small pictures of every mode and container, and what Pillow 12 reads, into one safetensors file:

    python picture_modes.py ../resources/dev/longalign/io/picture_modes.safetensors

'file:NAME' are a file's bytes, 'rgb:NAME' is exif_transpose(open(NAME)).convert("RGB") as [height, width, 3], but for
the two rules in which PictureFile differs and says so: transparency is laid over white (Pillow's alpha_composite), and
gray of 16 bits keeps its high byte. 'resize:FILTER:W:H' is resize() of 'rgb:resize'.
"""
import io, math, struct, sys, zlib
import numpy as np
from PIL import Image, ImageCms, ImageOps, PngImagePlugin
from safetensors.numpy import save_file

W, H = 23, 13
random = np.random.default_rng(7)
files, expected = {}, {}


def smooth(w=W, h=H):
    y, x = np.mgrid[0:h, 0:w]
    return np.stack([127 + 120 * np.sin(x / 5), 127 + 120 * np.cos(y / 4), 255 * (x + y) / (w + h)], 2).astype(np.uint8)


def noise(*shape, top=256, dtype=np.uint8):
    return random.integers(0, top, shape, dtype=dtype)


def read(data):
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if image.mode.startswith("I;16"):
        return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[:, :, None], 3, 2)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def add(name, data, want=None):
    files["file:" + name] = np.frombuffer(data, np.uint8)
    expected["rgb:" + name] = np.ascontiguousarray(read(data) if want is None else want)


def save(name, image, **options):
    stream = io.BytesIO()
    image.save(stream, {"jpg": "JPEG", "webp": "WEBP", "tif": "TIFF"}.get(name.split(".")[-1], name.split(".")[-1].upper()), **options)
    add(name, stream.getvalue())
    return stream.getvalue()


def png(name, depth, color, rows, extra=b"", interlaced=False, want=None):
    """By hand: Pillow does not write all depths. rows: [H, samples] of full values."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    def pack(line):
        if depth == 16:
            return line.astype(">u2").tobytes()
        bits = np.unpackbits(line.astype(np.uint8)[:, None], axis=1)[:, 8 - depth:].reshape(-1)
        return np.packbits(bits).tobytes()
    h = len(rows)
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    w = rows.shape[1] // samples
    cube = rows.reshape(h, w, samples)
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)] if interlaced else [(0, 0, 1, 1)]
    raw = b"".join(b"\0" + pack(line.reshape(-1)) for x, y, dx, dy in passes for line in cube[y::dy, x::dx] if line.size)
    head = struct.pack(">IIBBBBB", w, h, depth, color, 0, 0, int(interlaced))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    for kind, body in (extra or []):
        data += chunk(kind, body)
    add(name, data + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""), want)


rgb = Image.fromarray(smooth())
gray = rgb.convert("L")

# PNG: every colour type and depth, interlaced or not
for depth in (1, 2, 4, 8, 16):
    values = noise(H, W, top=1 << depth, dtype=np.uint16)
    for interlaced in (False, True):
        png(f"gray{depth}{'i' * interlaced}.png", depth, 0, values, interlaced=interlaced)
    if depth <= 8:
        palette = noise(3 << depth).tobytes()
        png(f"palette{depth}.png", depth, 3, values, [(b"PLTE", palette)])
        png(f"palette{depth}-trns.png", depth, 3, values, [(b"PLTE", palette), (b"tRNS", noise(1 << max(0, depth - 1)).tobytes())])
    if depth >= 8:
        png(f"rgb{depth}.png", depth, 2, noise(H, 3 * W, top=1 << depth, dtype=np.uint16))
        png(f"rgb{depth}i.png", depth, 2, noise(H, 3 * W, top=1 << depth, dtype=np.uint16), interlaced=True)
        png(f"grayalpha{depth}.png", depth, 4, noise(H, 2 * W, top=1 << depth, dtype=np.uint16))
        png(f"rgba{depth}.png", depth, 6, noise(H, 4 * W, top=1 << depth, dtype=np.uint16))
key = smooth()
key[3:9, 4:15] = (10, 200, 30)
png("rgb8-trns.png", 8, 2, key.reshape(H, -1).astype(np.uint16), [(b"tRNS", struct.pack(">HHH", 10, 200, 30))])
keyed = noise(H, W, top=8, dtype=np.uint16)
png("gray8-trns.png", 8, 0, keyed, [(b"tRNS", struct.pack(">H", 3))])
png("gray4-trns.png", 4, 0, keyed, [(b"tRNS", struct.pack(">H", 3))])
png("gamma.png", 8, 2, key.reshape(H, -1).astype(np.uint16), [(b"gAMA", struct.pack(">I", 100000)), (b"cHRM", struct.pack(">8I", *[30000] * 8))])

# ICC profiles are not applied, in any container. This one swaps the channels' primaries, so it would show.
profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
i = profile.index(b"rXYZ", 128)
tags = {profile[t:t + 4]: struct.unpack(">II", profile[t + 4:t + 12]) for t in range(132, 132 + 12 * struct.unpack(">I", profile[128:132])[0], 12)}
odd = bytearray(profile)
red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
odd[red[0]:red[0] + red[1]], odd[blue[0]:blue[0] + blue[1]] = profile[blue[0]:blue[0] + blue[1]], profile[red[0]:red[0] + red[1]]
odd = bytes(odd)
for name in ("icc.png", "icc.jpg", "icc.tif"):
    save(name, rgb, icc_profile=odd, **({"quality": 95} if name.endswith("jpg") else {}))
save("icc.webp", rgb, icc_profile=odd, lossless=True)
save("icc-alpha.webp", Image.fromarray(np.dstack([smooth(), noise(H, W)])), icc_profile=odd, lossless=True)
save("icc-gray.jpg", gray, icc_profile=odd)  # of the wrong kind
save("icc-broken.jpg", rgb, icc_profile=b"no profile")

# JPEG
for sub in (0, 1, 2):
    for progressive in (False, True):
        save(f"s{sub}{'p' * progressive}.jpg", rgb, subsampling=sub, quality=90, progressive=progressive)
save("gray.jpg", gray, quality=90)
save("cmyk.jpg", rgb.convert("CMYK"), quality=95)
inks = Image.fromarray(np.dstack([smooth(), smooth()[:, ::-1, 0]]), "CMYK")
cmyk = save("cmyk2.jpg", inks, quality=95)
save("rgb-coded.jpg", rgb, quality=95, keep_rgb=True)
at = cmyk.index(b"Adobe")
save_data = cmyk[:at + 11] + b"\x02" + cmyk[at + 12:]
add("ycck.jpg", save_data)
add("cmyk-no-adobe.jpg", cmyk[:at - 4] + cmyk[at + 12:])
plain = save("restart.jpg", rgb, quality=80, restart_marker_blocks=1)
j = plain.index(b"JFIF")
add("no-jfif.jpg", plain[:j - 4] + plain[j + 14:])
add("trailing.jpg", plain + b"\0" * 100 + plain)

# EXIF orientation in every container that has it, and XMP's
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x112] = orientation
    save(f"o{orientation}.jpg", rgb, exif=exif, quality=90, subsampling=0)
    save(f"o{orientation}.png", rgb, exif=exif)
    save(f"o{orientation}.webp", rgb, exif=exif, lossless=True)
save("o6.tif", rgb, tiffinfo={274: 6})
xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="8"/></x:xmpmeta>'
save("xmp8.jpg", rgb, xmp=xmp)
save("xmp8.webp", rgb, xmp=xmp, lossless=True)
info = PngImagePlugin.PngInfo()
info.add_itxt("XML:com.adobe.xmp", xmp.decode())
save("xmp8.png", rgb, pnginfo=info)
exif = Image.Exif()
exif[0x112] = 6
raw = exif.tobytes().hex()
info = PngImagePlugin.PngInfo()
info.add_text("Raw profile type exif", f"\nexif\n    {len(raw) // 2}\n" + "\n".join(raw[k:k + 72] for k in range(0, len(raw), 72)) + "\n", zip=True)
save("raw6.png", rgb, pnginfo=info)

# WebP
save("lossless.webp", rgb, lossless=True)
save("lossy.webp", Image.fromarray(smooth(96, 64)), quality=90)
save("lossy-alpha.webp", Image.fromarray(np.dstack([smooth(96, 64), smooth(96, 64)[:, ::-1, 2]])), quality=90)
save("alpha.webp", Image.fromarray(np.dstack([smooth(), noise(H, W)])), lossless=True, exact=True)
save("one.webp", Image.new("RGB", (3, 200), (9, 8, 7)), lossless=True)
frames = [Image.fromarray(np.roll(smooth(), k, 1)) for k in (0, 7, 14)]
save("animated.webp", frames[0], save_all=True, append_images=frames[1:], lossless=True)

# GIF
save("plain.gif", rgb.quantize(64))
save("interlaced.gif", rgb.quantize(200), interlace=1)
save("animated.gif", frames[0].quantize(32), save_all=True, append_images=[f.quantize(32) for f in frames[1:]])
transparent = rgb.quantize(32)
save("transparent.gif", transparent, transparency=5)
save("gray.gif", gray)
small = save("small.gif", rgb.quantize(16))
add("screen.gif", small[:6] + struct.pack("<HH", W + 6, H + 9) + small[10:small.index(b"\x2c", 13 + 48) + 1] + struct.pack("<HH", 4, 3) + small[small.index(b"\x2c", 13 + 48) + 5:])

# BMP
for mode in ("1", "L", "RGB", "RGBA"):
    image = Image.fromarray(np.dstack([smooth(), noise(H, W)])).convert(mode) if mode == "RGBA" else rgb.convert(mode)
    save(f"{mode}.bmp", image)
save("palette.bmp", rgb.quantize(200))


def bmp(name, bits, compression, body, masks=b"", palette=b"", height=H):
    offset = 14 + 40 + len(masks) + len(palette)
    head = struct.pack("<IiiHHIIiiII", 40, W, height, 1, bits, compression, len(body), 2835, 2835, len(palette) // 4, 0)
    add(name, b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + head + masks + palette + body)


row16 = noise(H, W + W % 2, top=65536, dtype=np.uint16)
bmp("555.bmp", 16, 0, (row16 & 0x7FFF).astype("<u2").tobytes())
bmp("565.bmp", 16, 3, row16.astype("<u2").tobytes(), struct.pack("<III", 0xF800, 0x7E0, 0x1F))
bmp("32.bmp", 32, 0, noise(H, W, 4).tobytes())
bmp("topdown.bmp", 24, 0, b"".join(r.tobytes() + b"\0" * (-3 * W % 4) for r in smooth()), height=-H)
bmp("16colors.bmp", 4, 0, noise(H, (W + 1) // 2 + -((W + 1) // 2) % 4).tobytes(), palette=noise(16, 4).tobytes())
rle = b""
for y in range(H):
    rle += b"".join(bytes([1 + x % 5, (x * 7 + y) % 256]) for x in range(6))
    rle += bytes([W - sum(1 + x % 5 for x in range(6)), 99]) + b"\0\0"
bmp("rle8.bmp", 8, 1, rle + b"\0\1", palette=noise(256, 4).tobytes())

# TIFF
for mode in ("1", "L", "RGB", "RGBA", "CMYK", "P", "I;16"):
    if mode == "I;16":
        image = Image.fromarray(noise(H, W, top=65536, dtype=np.uint16))
    else:
        image = inks if mode == "CMYK" else rgb.quantize(50) if mode == "P" else (
            Image.fromarray(np.dstack([smooth(), noise(H, W)])) if mode == "RGBA" else rgb.convert(mode))
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate"):
        save(f"{mode.replace(';', '')}-{compression or 'raw'}.tif", image, **({"compression": compression} if compression else {}))
save("packbits.tif", rgb, compression="packbits")
save("group4.tif", rgb.convert("1"), compression="group4")
white = io.BytesIO()
gray.save(white, "TIFF", tiffinfo={262: 0})
add("white-is-zero.tif", white.getvalue())

# Resizing
big = noise(61, 83, 3)
expected["rgb:resize"] = big
for name in ("BOX", "BILINEAR", "HAMMING", "BICUBIC", "LANCZOS"):
    for w, h in ((20, 15), (83, 20), (100, 30), (7, 61), (1, 1), (90, 70)):
        expected[f"resize:{name}:{w}:{h}"] = np.asarray(Image.fromarray(big).resize((w, h), getattr(Image.Resampling, name)))
save_file({**files, **expected}, sys.argv[1])
print(len(files), "files,", sum(f.nbytes for f in files.values()), "bytes")
