package dev.cube.guest;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

/** Builds the body of a request: little-endian numbers, strings with their length before and a zero byte behind. */
final class Request {
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream(128);

    static Request of(Operation operation) {
        return new Request().u8(operation.code()).u32(Wire.WINDOW);
    }

    Request u8(int value) {
        bytes.write(value);
        return this;
    }

    Request u16(int value) {
        return u8(value).u8(value >> 8);
    }

    Request u32(int value) {
        return u16(value).u16(value >> 16);
    }

    Request u64(long value) {
        return u32((int) value).u32((int) (value >> 32));
    }

    Request raw(byte[] value) {
        bytes.writeBytes(value);
        return this;
    }

    /** @throws GuestException {@code INVALID_ARGUMENT} for a string with a zero character, which no C string holds */
    Request string(String value) {
        if (value.indexOf('\0') >= 0) {
            throw new GuestException(GuestException.Kind.INVALID_ARGUMENT, "zero character in '%s'".formatted(
                    value.replace('\0', '?')));
        }
        byte[] utf8 = value.getBytes(StandardCharsets.UTF_8);
        return u32(utf8.length).raw(utf8).u8(0);
    }

    byte[] body() {
        if (bytes.size() > Wire.MAX_BODY) {
            throw new GuestException(GuestException.Kind.INVALID_ARGUMENT,
                    "request of %d bytes, larger than %d".formatted(bytes.size(), Wire.MAX_BODY));
        }
        return bytes.toByteArray();
    }
}
