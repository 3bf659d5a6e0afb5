package dev.cube.guest;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Cuts the guest's bytes into frames. Holds no state beside the caller's buffer. */
final class FrameDecoder {
    /** Takes a frame; {@code payload} is valid during the call only. */
    @FunctionalInterface
    interface Handler {
        void frame(int type, int flags, int channel, ByteBuffer payload);
    }

    private FrameDecoder() {}

    /**
     * Passes on every whole frame in {@code input}, which is left at the first incomplete one.
     *
     * @throws ProtocolViolation if the bytes are no frames
     */
    static void decode(ByteBuffer input, Handler handler) {
        input.order(ByteOrder.LITTLE_ENDIAN);
        while (input.remaining() >= Wire.HEADER_LENGTH) {
            int start = input.position();
            int type = Byte.toUnsignedInt(input.get(start));
            int length = Short.toUnsignedInt(input.getShort(start + 2));
            if (type < Wire.HELLO_ACK) {
                throw new ProtocolViolation("frame of unknown type 0x%02x".formatted(type));
            }
            if (length > Wire.MAX_PAYLOAD_IN) {
                throw new ProtocolViolation("frame of %d bytes, longer than %d".formatted(length, Wire.MAX_PAYLOAD_IN));
            }
            if (input.remaining() < Wire.HEADER_LENGTH + length + 1) {
                return;
            }
            int end = start + Wire.HEADER_LENGTH + length;
            if (input.get(end) != Wire.MARKER) {
                throw new ProtocolViolation("frame without its end marker");
            }
            ByteBuffer payload = input.slice(start + Wire.HEADER_LENGTH, length).order(ByteOrder.LITTLE_ENDIAN);
            input.position(end + 1);
            handler.frame(type, Byte.toUnsignedInt(input.get(start + 1)), input.getInt(start + 4), payload);
        }
    }
}
