package dev.cube.guest;

import java.nio.charset.StandardCharsets;

/** Numbers of the protocol in {@code docs/guest-protocol.md}. The agent has the same in {@code agent.h}. */
final class Wire {
    static final int VERSION = 2;
    static final int HEADER_LENGTH = 8;
    static final byte MARKER = (byte) 0xA5;
    static final int FLAG_MORE = 1;

    /** Largest payload to the guest, whose kernel receives into single pages. */
    static final int MAX_PAYLOAD_OUT = 4096;
    /** Largest payload from the guest, whose kernel takes 32 KiB in one write. */
    static final int MAX_PAYLOAD_IN = 32 * 1024 - HEADER_LENGTH - 1;
    /** Zero bytes before a HELLO: more than any frame that the last host may have left unfinished. */
    static final int PREAMBLE = 8192;

    /** Credit that each side has on a new channel. */
    static final int WINDOW = 128 * 1024;
    /** Credit that a DATA frame costs beside its length, so that small frames cannot take more memory than large. */
    static final int DATA_OVERHEAD = 64;
    static final int CHANNELS = 1024;
    static final int MAX_BODY = 4 << 20;

    static final int NONCE_LENGTH = 16;
    static final int ENTROPY_LENGTH = 64;
    static final byte[] HOST_MAGIC = magic("CUBE-HOST-HELLO");
    static final byte[] GUEST_MAGIC = magic("CUBE-GUEST-ACK!");

    static final int HELLO = 0x01;
    static final int TIME = 0x02;
    static final int OPEN = 0x10;
    static final int DATA = 0x11;
    static final int END = 0x12;
    static final int CREDIT = 0x13;
    static final int CLOSE = 0x14;

    static final int HELLO_ACK = 0x81;
    static final int OPENED = 0x90;
    static final int OUT = 0x91;
    static final int EOF = 0x92;
    static final int GRANT = 0x93;
    static final int CLOSED = 0x94;

    private Wire() {}

    private static byte[] magic(String text) {
        byte[] magic = (" " + text).getBytes(StandardCharsets.US_ASCII);
        magic[0] = (byte) 0xC3;
        return magic;
    }
}
