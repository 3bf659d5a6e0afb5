package dev.cube.api;

import com.code_intelligence.jazzer.junit.FuzzTest;
import dev.cube.http.HttpError;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.stream.Collectors;
import org.assertj.core.api.Assertions;

class MetadataQueryFuzzTest {
    @FuzzTest
    void parsesWhatItEncodesOrRefuses(byte[] input) {
        Map<String, String> metadata;
        try {
            metadata = MetadataQuery.parse(new String(input, StandardCharsets.UTF_8));
        } catch (HttpError e) {
            Assertions.assertThat(e.status()).isEqualTo(400);
            return;
        }
        if (metadata.keySet().stream().noneMatch(String::isEmpty)) {
            Assertions.assertThat(MetadataQuery.parse(encode(metadata))).isEqualTo(metadata);
        }
    }

    private static String encode(Map<String, String> metadata) {
        return metadata.entrySet().stream()
                .map(entry -> twice(entry.getKey()) + "=" + twice(entry.getValue()))
                .collect(Collectors.joining("&"));
    }

    private static String twice(String text) {
        return URLEncoder.encode(URLEncoder.encode(text, StandardCharsets.UTF_8), StandardCharsets.UTF_8);
    }
}
