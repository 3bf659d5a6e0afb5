package dev.cube.master;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.datatype.jdk8.Jdk8Module;
import java.util.List;
import java.util.Map;

/** Lists, maps and records as they are kept in text columns. */
final class JsonColumn {
    static final TypeReference<Map<String, String>> TEXT_MAP = new TypeReference<>() {};
    static final TypeReference<List<String>> TEXTS = new TypeReference<>() {};
    static final TypeReference<List<Integer>> NUMBERS = new TypeReference<>() {};

    static final TypeReference<SandboxNetwork> NETWORK = new TypeReference<>() {};

    private static final ObjectMapper JSON = new ObjectMapper().registerModule(new Jdk8Module());

    private JsonColumn() {}

    static String write(Object value) {
        try {
            return JSON.writeValueAsString(value);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException("cannot be kept as JSON: " + value, e);
        }
    }

    static <T> T read(String text, TypeReference<T> type) {
        try {
            return JSON.readValue(text, type);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("the database holds JSON that cannot be read: " + text, e);
        }
    }
}
