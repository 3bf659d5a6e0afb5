package dev.cube.guest;

import java.nio.ByteBuffer;

/**
 * Finds the guest's answer to this host's HELLO among whatever an earlier host left unread: the guest's magic, then a
 * HELLO_ACK with this host's nonce.
 */
final class AckScanner {
    private static final int FRAME_MINIMUM = Wire.HEADER_LENGTH + Wire.NONCE_LENGTH;

    private final byte[] nonce;

    AckScanner(byte[] nonce) {
        this.nonce = nonce.clone();
    }

    /**
     * Skips what is not the answer. When true, {@code input} is at the HELLO_ACK frame; otherwise it is left at bytes
     * that may be the answer's beginning, fewer than a scan needs.
     */
    boolean find(ByteBuffer input) {
        int needed = Wire.GUEST_MAGIC.length + FRAME_MINIMUM;
        while (input.remaining() >= needed) {
            int at = input.position();
            if (matches(input, at, Wire.GUEST_MAGIC)
                    && matches(input, at + Wire.GUEST_MAGIC.length + Wire.HEADER_LENGTH, nonce)) {
                input.position(at + Wire.GUEST_MAGIC.length);
                return true;
            }
            input.position(at + 1);
        }
        return false;
    }

    private static boolean matches(ByteBuffer input, int at, byte[] expected) {
        for (int i = 0; i < expected.length; i++) {
            if (input.get(at + i) != expected[i]) {
                return false;
            }
        }
        return true;
    }
}
