package dev.cube.api;

import dev.cube.http.HttpError;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The {@code metadata} parameter of E2B's listings: {@code key=value} pairs joined by {@code &}. E2B's clients encode
 * each key and value, then the pairs as a query, then the parameter's value as part of the request's own query. The last
 * is undone when this class sees it; the others are undone here, in their order.
 */
final class MetadataQuery {
    private MetadataQuery() {}

    /** @throws HttpError 400 if it is not of that form */
    static Map<String, String> parse(String parameter) {
        var metadata = new LinkedHashMap<String, String>();
        if (parameter.isBlank()) {
            return metadata;
        }
        for (String pair : decode(parameter).split("&", -1)) {
            int equals = pair.indexOf('=');
            if (equals <= 0 || pair.indexOf('=', equals + 1) >= 0) {
                throw new HttpError(400, "parameter 'metadata' must be key=value pairs joined by '&', URL-encoded");
            }
            metadata.put(decode(pair.substring(0, equals)), decode(pair.substring(equals + 1)));
        }
        return metadata;
    }

    private static String decode(String text) {
        try {
            return URLDecoder.decode(text, StandardCharsets.UTF_8);
        } catch (IllegalArgumentException e) {
            throw new HttpError(400, "parameter 'metadata' is not URL-encoded: " + e.getMessage());
        }
    }
}
