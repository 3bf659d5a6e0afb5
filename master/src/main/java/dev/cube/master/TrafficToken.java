package dev.cube.master;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.util.HexFormat;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * The token that visitors of a sandbox's ports need where these are not public. It is derived from the access token,
 * one way: who may visit a port may not for that use the sandbox.
 */
final class TrafficToken {
    private static final String ALGORITHM = "HmacSHA256";
    private static final byte[] PURPOSE = "traffic".getBytes(StandardCharsets.US_ASCII);

    private TrafficToken() {}

    static String of(String accessToken) {
        try {
            Mac mac = Mac.getInstance(ALGORITHM);
            mac.init(new SecretKeySpec(accessToken.getBytes(StandardCharsets.US_ASCII), ALGORITHM));
            return HexFormat.of().formatHex(mac.doFinal(PURPOSE));
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("every Java has " + ALGORITHM, e);
        }
    }
}
