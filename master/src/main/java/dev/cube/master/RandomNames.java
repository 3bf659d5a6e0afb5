package dev.cube.master;

import java.security.SecureRandom;
import java.util.HexFormat;

/** Names that nobody can guess. */
final class RandomNames {
    private static final SecureRandom RANDOM = new SecureRandom();
    private static final int ACCESS_TOKEN_BYTES = 32;
    private static final String BASE_36 = "0123456789abcdefghijklmnopqrstuvwxyz";

    private RandomNames() {}

    /** An ID like E2B's: {@code i} and 19 of a-z0-9, since it is part of host names. */
    static String sandboxId() {
        return "i" + base36(19);
    }

    /** 20 of a-z0-9. */
    static String id() {
        return base36(20);
    }

    /** What a secure sandbox's owner shows to its services. */
    static String accessToken() {
        return hex(ACCESS_TOKEN_BYTES);
    }

    /** {@code bytes} random bytes in hexadecimal. */
    static String hex(int bytes) {
        byte[] random = new byte[bytes];
        RANDOM.nextBytes(random);
        return HexFormat.of().formatHex(random);
    }

    private static String base36(int length) {
        StringBuilder name = new StringBuilder(length);
        for (int i = 0; i < length; i++) {
            name.append(BASE_36.charAt(RANDOM.nextInt(BASE_36.length())));
        }
        return name.toString();
    }
}
