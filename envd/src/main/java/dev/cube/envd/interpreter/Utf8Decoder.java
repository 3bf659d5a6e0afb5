package dev.cube.envd.interpreter;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Decodes a stream of UTF-8 that arrives in pieces; what is malformed is replaced. */
final class Utf8Decoder {
    private final CharsetDecoder decoder = StandardCharsets.UTF_8.newDecoder()
            .onMalformedInput(CodingErrorAction.REPLACE).onUnmappableCharacter(CodingErrorAction.REPLACE);
    /** The bytes of a character whose rest has not come. */
    private byte[] rest = {};

    String decode(byte[] data) {
        byte[] all = Arrays.copyOf(rest, rest.length + data.length);
        System.arraycopy(data, 0, all, rest.length, data.length);
        ByteBuffer input = ByteBuffer.wrap(all);
        CharBuffer text = CharBuffer.allocate(all.length + 1);
        decoder.decode(input, text, false);
        rest = Arrays.copyOfRange(all, input.position(), all.length);
        return text.flip().toString();
    }
}
