"""Cases of RFC 8259, each with the reason why it must be accepted or refused."""

from __future__ import annotations

Case = tuple[bytes, str]


def _strings(*escapes: str) -> list[Case]:
    return [(b'"\\' + escape.encode() + b'"', f"the escape \\{escape} is one of section 7") for escape in escapes]


ACCEPTED: list[Case] = [
    # Section 2: values, structural characters, white space
    (b"null", "a literal alone is a text"),
    (b"true", "a literal alone is a text"),
    (b"false", "a literal alone is a text"),
    (b'""', "a string alone is a text"),
    (b"0", "a number alone is a text"),
    (b"{}", "an object may be empty"),
    (b"[]", "an array may be empty"),
    (b" \t\r\n[]\n\r\t ", "all four kinds of white space may surround a text"),
    (b"[ 1 , 2 ]", "white space may surround structural characters"),
    (b'{ "a" : 1 }', "white space may surround structural characters"),
    (b"[\n]", "white space may stand in an empty array"),
    (b"{\t}", "white space may stand in an empty object"),
    # Section 4: objects
    (b'{"a":1}', "one member"),
    (b'{"a":1,"b":2}', "two members"),
    (b'{"":0}', "a name may be empty"),
    (b'{"a":1,"a":2}', "names should be unique, but need not be"),
    (b'{"a":{"a":{}}}', "objects nest"),
    (b'{"\\u0061":1}', "a name may have escapes"),
    (b'{"a\\u0000b":1}', "a name may have an escaped NUL"),
    # Section 5: arrays
    (b"[1]", "one element"),
    (b'[1,"a",null,true,{},[]]', "elements need not be of one type"),
    (b"[[[[]]]]", "arrays nest"),
    (b"[" * 512 + b"]" * 512, "our limit of nesting is 512"),
    # Section 6: numbers
    (b"-0", "minus zero is a number"),
    (b"-1", "a negative integer"),
    (b"10", "zero may be the last digit"),
    (b"0.0", "zero may stand before the point"),
    (b"0.10", "zeros may trail a fraction"),
    (b"-0.5", "a negative fraction"),
    (b"1e1", "an exponent"),
    (b"1E1", "an exponent's letter may be large"),
    (b"1e+1", "an exponent may have a plus"),
    (b"1e-1", "an exponent may have a minus"),
    (b"1e00", "zeros may lead an exponent"),
    (b"0e0", "zero may have an exponent"),
    (b"1.5e+10", "fraction and exponent together"),
    (b"1e400", "the grammar knows no limit of size"),
    (b"1" * 1000, "the grammar knows no limit of length"),
    (b"0." + b"1" * 1000, "the grammar knows no limit of precision"),
    (b"9223372036854775808", "one more than 64 bits hold with a sign"),
    # Section 7: strings
    *_strings('"', "\\", "/", "b", "f", "n", "r", "t", "u0000", "u001f", "u0041", "uFFFF", "uabCD", "uD83D\\uDE00"),
    (b'"\\ud800"', "an unpaired surrogate is within the grammar (section 8.2)"),
    (b'"\\udc00\\ud800"', "surrogates in the wrong order are within the grammar"),
    (b'"\\ud800\\ud800"', "two high surrogates are within the grammar"),
    (b'"\x7f"', "DEL is no control character of the grammar"),
    (b'" "', "a space may stand in a string"),
    (b'"\xc2\x80"', "the first of two bytes"),
    (b'"\xdf\xbf"', "the last of two bytes"),
    (b'"\xe0\xa0\x80"', "the first of three bytes"),
    (b'"\xed\x9f\xbf"', "the last before the surrogates"),
    (b'"\xee\x80\x80"', "the first behind the surrogates"),
    (b'"\xef\xbf\xbf"', "U+FFFF is a code point, though no character"),
    (b'"\xef\xbb\xbf"', "U+FEFF may stand in a string"),
    (b'"\xf0\x90\x80\x80"', "the first of four bytes"),
    (b'"\xf4\x8f\xbf\xbf"', "the last code point"),
    (b'"\xe2\x80\xa8"', "U+2028 needs no escape in JSON"),
    (b'"' + b"x" * 100_000 + b'"', "the grammar knows no limit of length"),
    (b'"1234567\\n"', "an escape behind seven plain bytes"),
    (b'"12345678\\n"', "an escape behind eight plain bytes"),
    (b'"123456789\xc3\xa9"', "UTF-8 behind nine plain bytes"),
]

_LITERALS: list[Case] = [
    (text, "literals are exactly null, true and false")
    for text in (b"nul", b"nulll", b"Null", b"NULL", b"tru", b"truee", b"True", b"fals", b"False", b"n", b"t", b"f")
]

_NUMBERS: list[Case] = [
    (text, "the grammar of numbers has no such form")
    for text in (
        *(b"+1", b"-", b"--1", b"01", b"-01", b"00", b"1.", b".5", b"-.5", b"1.e1", b"1e", b"1e+", b"1e-", b"1ee1"),
        *(b"1e1.5", b"1.1.1", b"0x1", b"1_000", b"1,000", b"NaN", b"Infinity", b"-Infinity", b"inf", b"1f", b"1 2"),
        *(b"\xef\xbc\x91", b"- 1", b"1 .5", b"1 e1", b"0b1", b"1a", b"-a", b"1-1", b"1+1"),
    )
]

_UTF8: list[Case] = [
    (b'"' + content + b'"', why)
    for content, why in (
        (b"\x80", "a continuation byte alone"),
        (b"\xbf", "a continuation byte alone"),
        (b"\xc3", "a sequence that is cut off"),
        (b"\xe2\x82", "a sequence that is cut off"),
        (b"\xf0\x9f\x98", "a sequence that is cut off"),
        (b"\xc3(", "a sequence with a byte that does not continue it"),
        (b"\xe2(\xa1", "a sequence with a byte that does not continue it"),
        (b"\xf0\x28\x8c\xbc", "a sequence with a byte that does not continue it"),
        (b"\xc0\x80", "NUL in two bytes"),
        (b"\xc1\xbf", "longer than it need be"),
        (b"\xe0\x80\x80", "longer than it need be"),
        (b"\xe0\x9f\xbf", "longer than it need be"),
        (b"\xf0\x80\x80\x80", "longer than it need be"),
        (b"\xf0\x8f\xbf\xbf", "longer than it need be"),
        (b"\xed\xa0\x80", "a surrogate in UTF-8"),
        (b"\xed\xbf\xbf", "a surrogate in UTF-8"),
        (b"\xf4\x90\x80\x80", "past U+10FFFF"),
        (b"\xf5\x80\x80\x80", "past U+10FFFF"),
        (b"\xf8\x88\x80\x80\x80", "five bytes"),
        (b"\xfe", "no byte of UTF-8"),
        (b"\xff", "no byte of UTF-8"),
        (b"\xe9", "Latin-1"),
    )
]

REFUSED: list[Case] = [
    # Section 2
    (b"", "there is no text"),
    (b" ", "white space alone is no text"),
    (b"\xef\xbb\xbf{}", "a byte order mark must not be sent (section 8.1)"),
    (b"\xff\xfe{\x00}\x00", "UTF-16 is not allowed (section 8.1)"),
    (b"{\x00}\x00", "UTF-16 is not allowed (section 8.1)"),
    (b"{}\x00", "a NUL is no white space"),
    (b"\x00{}", "a NUL is no white space"),
    (b"\x0b[]", "a vertical tab is no white space"),
    (b"\x0c[]", "a form feed is no white space"),
    (b"\xc2\xa0[]", "a no-break space is no white space"),
    (b"\xe2\x80\x80[]", "a Unicode space is no white space"),
    (b"{}{}", "only one value"),
    (b"[] []", "only one value"),
    (b"{}x", "nothing may follow"),
    (b"// c\n{}", "there are no comments"),
    (b"{}/**/", "there are no comments"),
    (b"{} # c", "there are no comments"),
    (b"undefined", "there is no such value"),
    (b"'a'", "strings have double quotes"),
    # Section 4
    (b"{", "an object that does not end"),
    (b"}", "an object that does not begin"),
    (b'{"a"', "an object that does not end"),
    (b'{"a":', "an object that does not end"),
    (b'{"a":1', "an object that does not end"),
    (b'{"a":1,', "an object that does not end"),
    (b'{"a":1,}', "a comma that nothing follows"),
    (b"{,}", "a comma that nothing precedes"),
    (b'{,"a":1}', "a comma that nothing precedes"),
    (b'{"a":1,,"b":2}', "two commas"),
    (b'{"a":1 "b":2}', "no comma"),
    (b'{"a" 1}', "no colon"),
    (b'{"a"::1}', "two colons"),
    (b'{"a":}', "no value"),
    (b"{:1}", "no name"),
    (b"{a:1}", "a name without quotes"),
    (b"{1:1}", "a name that is no string"),
    (b"{null:1}", "a name that is no string"),
    (b"{'a':1}", "single quotes"),
    (b'{"a"}', "a name alone"),
    (b'{"a":1]', "brackets that do not match"),
    (b'{"a":1}}', "a bracket too many"),
    (b'{"a":1;"b":2}', "a semicolon is no comma"),
    (b'{"a"=1}', "an equals sign is no colon"),
    # Section 5
    (b"[", "an array that does not end"),
    (b"]", "an array that does not begin"),
    (b"[1", "an array that does not end"),
    (b"[1,", "an array that does not end"),
    (b"[1,]", "a comma that nothing follows"),
    (b"[,]", "a comma that nothing precedes"),
    (b"[,1]", "a comma that nothing precedes"),
    (b"[1,,2]", "two commas"),
    (b"[1 2]", "no comma"),
    (b"[1}", "brackets that do not match"),
    (b"[1]]", "a bracket too many"),
    (b"[1:2]", "a colon is no comma"),
    (b"[x", "no value"),
    (b"[" * 513 + b"]" * 513, "our limit of nesting is 512"),
    (b"[" * 1_000_000, "input must not drive recursion"),
    (b'{"a":' * 1_000_000, "input must not drive recursion"),
    *_LITERALS,
    # Section 6
    *_NUMBERS,
    # Section 7
    (b'"', "a string that does not end"),
    (b'"a', "a string that does not end"),
    (b'"\\"', "a string that does not end"),
    (b'"\\', "a string that does not end"),
    (b'"a" "b"', "only one value"),
    (b'"a\nb"', "a line feed must be escaped"),
    *((b'"' + bytes([c]) + b'"', "control characters must be escaped") for c in range(0x20)),
    *(
        (b'"\\' + c + b'"', "no such escape")
        for c in (b"a", b"v", b"x41", b"0", b"'", b"U0041", b"\n", b" ", b"\xc3\xa9")
    ),
    *(
        (b'"\\u' + c + b'"', "four hex digits must follow")
        for c in (b"", b"1", b"12", b"123", b"12g4", b"+123", b" 123")
    ),
    (b'"\\ud83d\\u"', "four hex digits must follow"),
    *_UTF8,
]
