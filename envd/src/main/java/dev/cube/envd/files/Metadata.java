package dev.cube.envd.files;

import dev.cube.http.HttpError;
import io.vertx.core.MultiMap;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/** What a client says about the files that it uploads: headers {@code X-Metadata-<key>: <value>}. */
final class Metadata {
    private static final String HEADER = "X-Metadata-";
    /** Of the attribute that keeps it in the guest; the kernel allows 255 bytes for an attribute's name. */
    private static final String ATTRIBUTE = "user.e2b.";
    private static final int KEY_AT_MOST = 255 - ATTRIBUTE.length();
    /** ext4 has one block for all attributes of a file. */
    private static final int TOTAL_AT_MOST = 4096;

    private Metadata() {}

    /** Keys in lower case, as names of headers have no case; 400 if it cannot be kept. */
    static Map<String, String> of(MultiMap headers) {
        var metadata = new TreeMap<String, String>();
        for (Map.Entry<String, String> header : headers) {
            if (header.getKey().regionMatches(true, 0, HEADER, 0, HEADER.length())
                    && header.getKey().length() > HEADER.length()) {
                metadata.putIfAbsent(header.getKey().substring(HEADER.length()).toLowerCase(Locale.ROOT),
                        header.getValue());
            }
        }
        check(metadata);
        return metadata;
    }

    private static void check(Map<String, String> metadata) {
        int total = 0;
        for (Map.Entry<String, String> entry : metadata.entrySet()) {
            String key = entry.getKey();
            if (key.length() > KEY_AT_MOST) {
                throw invalid("metadata key \"" + key + "\" exceeds " + KEY_AT_MOST + " bytes");
            }
            if (!printable(key) || !printable(entry.getValue())) {
                throw invalid("metadata \"" + key + "\" has other than printable ASCII characters");
            }
            total += ATTRIBUTE.length() + key.length() + entry.getValue().length();
        }
        if (total > TOTAL_AT_MOST) {
            throw invalid("total metadata size " + total + " exceeds " + TOTAL_AT_MOST + " bytes");
        }
    }

    private static boolean printable(String text) {
        return text.chars().allMatch(character -> character >= ' ' && character <= '~');
    }

    private static HttpError invalid(String what) {
        return new HttpError(400, "invalid metadata: " + what);
    }
}
