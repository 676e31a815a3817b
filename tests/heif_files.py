"""A HEIC, and HEIFs written box by box, of which only the header is sound."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence

HEIC = base64.b85decode(
    "0000SW^{RQXk}?*00000ZE0pPXk}?*ZE0a<0009MZDn*}000000000XXk=`10000000000aA{+70000000000000"
    "00000004sdC7Z2$lO00062000naWMOmw00000AOIi$001~?Y;R)$0000)KmY;&0RR9100003Hvj<u00000007JY0"
    "ssL3000000003100000000O8001~?X>Mi!000000ssI26=`l}WdZ;I0RRC20BCk&F#rGn02OI&W@Q2Z00002003u"
    "lX=DHZ00KT~aB^?}00J9naAR)(004Jrc4I>U1PA~C000000000U@BsY(`1k+-"
    "4+9_o0RR_30Sp2E{{#pC00RJ?H~;_x0017k0ze@E0RSpO0RaRE00093o;Uyi0{{RXkOUAQvfW&i*Ea$J1_S^A0{{"
    "d700RI7AR+((00=|@!E+ce2#^2(02FC+aAg1h0000006+i$06+i$02FC+aAg1h0000003ZMW03ZMW0c2xuY;tgNZ"
    ")N}h0ayS40006&003=nbaGNhLLgXKS|9)b0000000000003cQb8r9v0000000000000000000000000000000000"
    "0_SOIa00000(=7l100000000000000000000000000000000000000000000000000000000000000(z;aC86w0N"
    "4Nk02FdqSy})90PFw&02FdmQbPa$0RR9101#(bSy})90T2KH02F6bQbPa$0VDtb01#qWSy})90W<&r02E?WQbPa$"
    "0Z0G<01#MNS|9)b00000_SOIa00000(=Aw8S|9)b00000oEZQBPo@9>1pQ-ma&`a!00000009Cs003B7S|9)b000"
    "00G>ZTLpeq0X50_(ga&`a!00000009Cs003B7S|9)b00000CNuy55HA1#zOG|+a&`a!00000009Cs0000001$9#c"
    "xeCt0009B2nYZG02^s=ZD9Za0000000IC30)YYm0s{ktg#Z8m8fkK6W&i*H000004rFO<X8-"
    "~K0RRC2007i&WMOmw0077+0j~x)u8`Lid;9r_`W|gKd|uV+Vz1#1in9&_@)luA54&!7K~y2GeEiT0{-#*6Jk-CzK"
    "6o&~!?DoQbK%U|r2ZC+rE_0&U5`M?h(6lHWU6sIxAKt_gF6$&-"
    "NLuK{sW_{5Rj!O<<(>Nue1J0p7>K1+}p6(rj{hu84wO4I2OFxAssy8mrD6;L95q1^)~q2?F_h~;OdBTWFJqz5m;+"
    "Zw8;EbF;zJ?BbN!gJd-IMHm8+T|MAb7Fu-HI_gTOE;y>^"
)
"""A ramp of 32 x 32 pixels in the colors of ``rgb_profile()``, brand heic, by libheif."""


def box(name: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), name) + content


def full(name: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(name, struct.pack(">B3s", version, flags.to_bytes(3, "big")), *parts)


def size(width: int, height: int) -> bytes:
    return full(b"ispe", struct.pack(">II", width, height))


def _golomb(value: int) -> str:
    return f"{value + 1:b}".rjust(2 * (value + 1).bit_length() - 1, "0")


def decoder(width: int, height: int, chroma: int = 1) -> bytes:
    """Write a decoder's configuration with a set of parameters as short as may be."""
    bits = "0" * (4 + 3 + 1 + 96) + "".join(map(_golomb, (0, chroma, width, height)))
    bits += "0" * (-len(bits) % 8)
    unit = b"\x42\x01" + bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    escaped = b""
    for byte in unit:  # nothing in it may look like the start of a unit
        escaped += (b"\3" if escaped[-2:] == b"\0\0" and byte <= 3 else b"") + bytes([byte])
    unit = escaped
    sets = b"\x21" + struct.pack(">HH", 1, len(unit)) + unit
    return box(b"hvcC", bytes(22), b"\x01", sets)


def heif(
    *properties: bytes,
    kinds: Sequence[bytes] = (b"hvc1",),
    hidden: int = 0,
    references: Sequence[tuple[bytes, int, int]] = (),
    data: bytes = b"",
) -> bytes:
    """Write a HEIF whose first item is the primary one and has all properties.

    Parameters
    ----------
    properties : bytes
        Boxes.
    kinds : sequence of bytes
        Of the items, which are counted from 1.
    hidden : int
        How many of the last items are hidden.
    references : sequence of tuple
        Kind, from which item, to which.
    data : bytes
        Of the first item, within the header.
    """
    n = len(kinds)
    infe = [
        full(b"infe", struct.pack(">HH4sx", i, 0, k), version=2, flags=int(i > n - hidden))
        for i, k in enumerate(kinds, 1)
    ]
    used = bytes([len(properties), *range(1, len(properties) + 1)])
    parts = [
        full(b"hdlr", bytes(4) + b"pict" + bytes(13)),
        full(b"pitm", struct.pack(">H", 1)),
        full(b"iinf", struct.pack(">H", n), *infe),
        box(b"iprp", box(b"ipco", *properties), full(b"ipma", struct.pack(">IH", 1, 1), used)),
        full(b"iref", *(box(k, struct.pack(">HHH", a, 1, b)) for k, a, b in references)),
        full(b"iloc", b"\x44\0" + struct.pack(">HHHHHII", 1, 1, 1, 0, 1, 0, len(data)), version=1),
        box(b"idat", data),
    ]
    return box(b"ftyp", b"heic" + bytes(4) + b"mif1heic") + full(b"meta", *parts)
