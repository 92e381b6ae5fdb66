"""Makes small pictures in every format (tests/fuzz/corpus/image) and what Pillow's resize makes of a pattern (beside this).

Run by hand with Pillow (13.0) when a case is added: python3 tests/common/image/make_golden.py
"""

import pathlib
import struct
import zlib

from PIL import Image

HERE = pathlib.Path(__file__).parent
DATA = HERE.parents[1] / "fuzz" / "corpus" / "image"


def pattern(width, height, channels=3):
    """The picture that preprocess_test.cc draws too: smooth ramps and hard edges; alpha is the last of four."""
    levels = [
        ((37 * x + 11 * y) % 256, 255 if (x // 3 + y // 2) % 2 else 0, (x * x + 3 * y * y) % 256, (29 * x + 50 * y) % 256)
        for y in range(height)
        for x in range(width)
    ]
    mode, kept = {1: ("L", [0]), 2: ("LA", [0, 3]), 3: ("RGB", [0, 1, 2]), 4: ("RGBA", [0, 1, 2, 3])}[channels]
    return Image.frombytes(mode, (width, height), bytes(pixel[c] for pixel in levels for c in kept))


def write_resized():
    """resized.bin: per case width, height, new width, new height, filter (0 bilinear, 1 bicubic), channels, pixels."""
    cases = [
        (13, 9, 7, 5, 0),
        (13, 9, 7, 5, 1),
        (13, 9, 29, 17, 0),
        (13, 9, 29, 17, 1),
        (40, 31, 9, 64, 0),
        (40, 31, 9, 64, 1),
        (64, 48, 32, 32, 0),
        (64, 48, 32, 32, 1),
        (200, 3, 5, 3, 0),
        (1, 1, 4, 4, 1),
        (13, 9, 7, 5, 1, 1),
        (13, 9, 29, 17, 0, 1),
        (40, 31, 9, 12, 1, 2),
        (13, 9, 20, 17, 1, 2),
        (40, 31, 9, 12, 0, 4),
        (13, 9, 20, 17, 1, 4),
    ]
    with open(HERE / "resized.bin", "wb") as file:
        for width, height, new_width, new_height, kind, *rest in cases:
            channels = rest[0] if rest else 3
            how = (Image.BILINEAR, Image.BICUBIC)[kind]
            resized = pattern(width, height, channels).resize((new_width, new_height), how)
            file.write(struct.pack("<6i", width, height, new_width, new_height, kind, channels) + resized.tobytes())


def write_interlaced(image, path):
    """Adam7, which Pillow reads but does not write."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = b""
    for x0, y0, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        for y in range(y0, image.height, dy):
            rows += b"\0" + b"".join(bytes(image.getpixel((x, y))) for x in range(x0, image.width, dx))
    header = struct.pack(">IIBBBBB", image.width, image.height, 8, 2, 0, 0, 1)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def write_formats():
    """16 x 16 pictures of four squares: red, green / blue, grey (the last one half transparent black where it can be)."""
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)]
    squares = Image.new("RGB", (2, 2))
    squares.putdata(colours)
    squares = squares.resize((16, 16), Image.NEAREST)
    clear = squares.convert("RGBA")
    clear.paste((0, 0, 0, 127), (8, 8, 16, 16))
    grey = Image.new("L", (2, 2))
    grey.putdata([0, 85, 170, 255])
    grey = grey.resize((16, 16), Image.NEAREST)

    exact = {"quality": 95, "subsampling": 0}
    squares.save(DATA / "rgb.jpg", **exact)
    squares.save(DATA / "progressive.jpg", progressive=True, **exact)
    squares.convert("CMYK").save(DATA / "cmyk.jpg", **exact)
    grey.save(DATA / "grey.jpg", **exact)
    squares.save(DATA / "rgb.png")
    clear.save(DATA / "rgba.png")
    squares.quantize(4).save(DATA / "palette.png")
    grey.save(DATA / "grey.png")
    write_interlaced(squares, DATA / "interlaced.png")
    Image.frombytes("I;16", (16, 16), b"".join(struct.pack("<H", 257 * v) for v in grey.tobytes())).save(
        DATA / "grey16.png"
    )
    grey.convert("LA").save(DATA / "grey_alpha.png")
    squares.save(DATA / "lossless.webp", lossless=True)
    squares.save(DATA / "lossy.webp", quality=100)
    clear.save(DATA / "alpha.webp", lossless=True, exact=True)
    squares.save(DATA / "animated.webp", save_all=True, append_images=[squares.rotate(90)], lossless=True)
    for suffix in ("jpg", "png", "webp"):  # orientation 6: turn right to see it upright
        exif = Image.Exif()
        exif[0x0112] = 6
        more = exact if suffix == "jpg" else {"lossless": True} if suffix == "webp" else {}
        squares.save(DATA / f"turned.{suffix}", exif=exif, **more)


if __name__ == "__main__":
    DATA.mkdir(parents=True, exist_ok=True)
    write_resized()
    write_formats()
