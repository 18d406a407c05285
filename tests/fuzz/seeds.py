"""Sound files that mutation begins with, kept as they were written so that every machine mutates the same."""

import base64
import io
import json
import struct
import zipfile
import zlib


def headers() -> list[bytes]:
    """Small .safetensors files: plain ones, with metadata, with sides of zero, with odd names, in every type."""
    return [
        _file({"a": ("F32", [2, 3]), "b": ("F16", [4])}),
        _file({"lora_unet_down.lora_up.weight": ("BF16", [4, 2]), "x.alpha": ("F16", [])}, {"ss_network_dim": "4"}),
        _file({name: (name, [2]) for name in ("BOOL", "U8", "I8", "F8_E4M3", "I16", "U32", "F64", "I64")}),
        _file(
            {"none": ("F32", [0, 5]), "../../x": ("U8", [3]), "<b>": ("U8", [1, 1, 1])},
            {"format": "pt", "猫": '{"a":1}'},
        ),
        _file({}, {"format": "pt"}),
    ]


def pickles() -> list[bytes]:
    """Small files of PyTorch's: zips, and the form before; a checkpoint, an embedding, one that wants to run."""
    return [
        *(_zip(text) for text in (_plain(), _nested(), _evil())),
        _OLD_HEAD + _plain("N") + b"\x80\2]X\1\0\0\x000a." + struct.pack("<q", 4) + bytes(16),
        *(zlib.decompress(base64.b85decode(text)) for text in _TORCH),
    ]


def _file(tensors: dict[str, tuple[str, list[int]]], metadata: dict[str, str] | None = None) -> bytes:
    widths = {"F64": 8, "I64": 8, "F32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2}
    entries: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, (dtype, shape) in tensors.items():
        size = widths.get(dtype, 1)
        for side in shape:
            size *= side
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(entries, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


_OLD_HEAD = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}X\r\0\0\0little_endian\x88s."


def _tensor(view: str = "") -> bytes:
    storage = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpuK\4" + view.encode() + b"tQ"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + b"K\0K\2K\2\x86K\2K\1\x86\x89ccollections\nOrderedDict\n)RtR"
    )


def _plain(view: str = "") -> bytes:
    return b"\x80\2}q\0(X\1\0\0\0a" + _tensor(view) + b"X\4\0\0\0stepK\7u."


def _nested() -> bytes:
    words = b"\x80\4}\x94(\x8c\nstate_dict\x94}\x94(\x8c\1a\x94" + _tensor() + b"\x94\x8c\1b\x94h\4u\x8c\4name\x94"
    return words + b"\x8c\3cat\x94\x8c\4seen\x94\x8c\x08builtins\x94\x8c\3set\x94\x93](K\1K\2G?\xf0\0\0\0\0\0\0e\x85Ru."


def _evil() -> bytes:
    return b"\x80\2}(X\1\0\0\0a" + _tensor() + b"X\1\0\0\0bcposix\nsystem\nX\x10\0\0\0touch /tmp/canary\x85Ru."


def _zip(text: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in {"a/data.pkl": text, "a/byteorder": b"little", "a/data/0": bytes(16)}.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


_TORCH = (
    "c-o~^&2Jk;6d!-YcDLYslr}UCX`p;KrFHxryQPg}RlY0~*9f#iLZi)kVz0c}_1hUI1j$knYH9xlB*d|Q01{_Ta6@qB#tAqSaX=iI"
    "nRV>lb?pckc{SR3zxUqn&HKG|Q;o$DN~O@$T0$#Gca5%jNVeNL)3g1a)u^Y@hk<oJIs}x_7P$juu4#8LbNH`EY={gYsztcrD#YG7"
    "6QLncUw8Ebh#Sn|NwT(`J#g9si_om$*i1KV;wnu6A&j_pOoJ(~u=Ob<hLFr?f-ZA8h{uA|Bke4I_W}wug)>7?y0KAcJYc3p73`9|"
    "foZiTI0eqmfG}cH$Hj*Q1)j@fw4@~NxO#`c^PY>+upFJe=N&4LmWAeEQH$~2=nr5?O)*%$ry@0~#vj6p8doC^;oM`xa4d@$%yew3"
    "yz91!OWIy}FKo5oJcA1@SbfwLFE4%$7hAAKWx057u)i;AyEKG#?UFdL9UJ%gkx4mUb^^eZFnGzpSd_v{8)Jo^D6sJnTz&wXEqGZw"
    "C*$cx??`v~eYga79j8a(6`A&mY}CZ=*<O{l*R%`5W>UOAu&f{kUcalQg>~O?eU5KP$Bec%Wx_`$>tYe0Lt#t8u4?PkFx@)Rk0~~E"
    "esOJhQv$DPD}LalhU?Ot)i$1K4y4?c(44j`pp@y1;5P5XC{SKn3)=aRb&{$m5hbrOE{FEBVPy%ccs-kfIrJpqj>J{HZjXimYD2i8"
    "Er^pIIi_%P2yb;`cj;hH<710#E@ZeRwf8aHmPcF*eb`kagKSexrgne(`pFkulHzI39Q9SSIUe;azq13K;X@%T$8OZuLlYldd6DIt"
    "r$2utIEZI<mNm39$ub%z-dnR{A8`3L>czQ<W~@p{mU#rfMtO?pTms8zcT8aKm=Q-zU!#8WzvMkxmdTh!1cwK=ez}<7SrT(Oq|xob"
    "S9LqrsNeV>1Q5EvJMR(9zWwv7zczX9&AH4L(Umc?aq};qMy;rb3_pI^dH?kL-#~?l0A%r$xF%P?C%X6?Vzb?-XaD70<jXsSYQ9!0"
    "=kwKasZuKD3YA<XU#b*q`9iK*&h6x@xpJi@Sib$_@%I_dBO_Tx1lci9|DY^QF%SO_hQ0j*up03EJ%(nD))WPwh}Qx^?#0oZ$qC2t"
    "3voFR=O<sB@c@L~{c1@E+&@@AA?=2J{W@3-`2OMZol(EPJsSb%Rsx+OoTi#cTsx6j?E2U<8QOn{c>CW8Z|8o}^xcSq_XS%>cs@yq"
    "_ptu}^xjrZ",
    "c-n1H%SyvQ6ip^+s-vy-3GQ6RP0`d^3k5e)guz$cWFsLaqlpZe-pQn*Q0S(``VD@7zvd?hE}XPP5IQgebMCq4oO?&;9kZX0?)To)"
    "=k;!Vgf6}e^$tO^-I}IpeZeIUIP(Tnq%luGR|L1BDlC?gQI95J>?eTUT&zI((x+Y;ztR+pA(*yXQeYZ!A)!Q&Yp7qGNU(_Mnz;r~"
    "9-&OkEGs;9g+7BGNG^h??qxD&DfR@t&tevOk|rq^-oU|tY}+m8;)>}%QZVK%xXZXNZ|5Ke)2%8_`^agvPg;)CY92I?p)|`8^fQ&i"
    "x|C49AsR6Vn!pm#i7|oYX`n`CG>~fI6kmyu3L2ipfy99Kd$1y5wFi}1*a)hT$`Td+=RSM*vtRpX-#BbG+78qriy&pYp4*}^Y!H16"
    "o6{&)-jcB0gPnXGclkONq}LZ|B3ie!;*3rgT~w4iTIUz)C4(~",
    "c-o~@zi-n(6h1qy9So#DRH>pvnSdbC)QO$c0nthk%3>ixQKg8*a_vj7aO|9YNmV2yB$NR$fka36GZ<Oe5jz_b6aNBtaT?AS8lZiW"
    "bw2rh@B8lE_uR5_5&-!;n29B@0-V@=;t%1L=U}JQe;PC!1@Jf%FU02vv_+ENF_GZnh#*S#0Q*6r+A%yB_<?6*7$#9{4|NrZ#bR3_"
    "*$K&Xx)9|ikjY-%5AjhSdXFYsB((*St)Yc>j;wBffMiR;NO@=hOB$iPC5+I8SFRfc0d%n+g^Btg_FxRXd%lZRq~6>^7gG+k6GRR+"
    "ZD{oLPN<?w7+u~&g{0K7l>Ck3>mNQ72Kuy4?a3P0p7x~FiQ=Av?IDa4!rN@<Tx<R*%9Q-$&u=g3F@?G0>n!=CU$ztY-LMBkd`AA7"
    "K?Up{q961Q#km5O!R}PR!4ZZLZFIA7=PbM@5%?GfkZKs+{eDFzEb?3p1+bHG<(AfL+&+f@lLTeI`e{cXlt7xxzQ}Z7dhh2tzphgD"
    "ukXA2fA9YWsQfm-`0xpged2&;4t2imd(B4aKgE=*+ZD51uUE@uvue}~U8~fzYQ0i1$*Za9HLYe;4RdVMYp>tkFA^Qau}Xo8o$6%g"
    "XK6+`{~zJe>;SA~kgEbXZQ}SMtclk%Mc%MQW+sQP!y0ipQ)fj4vjf1xStk`T@M95h-sQ2Z4;Hh1$N}DYJea+njSToL1OBsdT9z!|"
    "I<Z-9bBa{B^^1_Mrj)J(H~yr^=|25~EyyWG8Rw_DzW^vWY03",
)
"""Three that torch 2.13 wrote: an embedding in its ParameterDict, the old form, an fp8 tensor."""
