package dev.cube.image;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** Reads JSON documents that may be anything; every error names the document. */
final class Json {
    private static final ObjectMapper MAPPER = new ObjectMapper();

    private Json() {}

    static JsonNode object(byte[] content, String what) {
        JsonNode node = parse(content, what);
        if (!node.isObject()) {
            throw new ImageException("%s is not a JSON object".formatted(what));
        }
        return node;
    }

    static JsonNode array(byte[] content, String what) {
        JsonNode node = parse(content, what);
        if (!node.isArray()) {
            throw new ImageException("%s is not a JSON array".formatted(what));
        }
        return node;
    }

    private static JsonNode parse(byte[] content, String what) {
        try {
            return MAPPER.readTree(content);
        } catch (JsonProcessingException e) {
            throw new ImageException("%s is not JSON: %s".formatted(what, e.getOriginalMessage()), e);
        } catch (IOException e) {
            // Bytes that are no text in any encoding.
            throw new ImageException("%s is not JSON: %s".formatted(what, e.getMessage()), e);
        }
    }

    /** A field that must be there. */
    static String text(JsonNode object, String field, String what) {
        JsonNode value = object.path(field);
        if (!value.isTextual()) {
            throw new ImageException("%s has no text field '%s'".formatted(what, field));
        }
        return value.textValue();
    }

    /** The strings of a list; empty where it is missing or null. */
    static List<String> texts(JsonNode list, String what) {
        List<String> texts = new ArrayList<>();
        if (!list.isMissingNode() && !list.isNull() && !list.isArray()) {
            throw new ImageException("%s is not a list".formatted(what));
        }
        for (JsonNode element : list) {
            if (!element.isTextual()) {
                throw new ImageException("%s holds something that is not text".formatted(what));
            }
            texts.add(element.textValue());
        }
        return List.copyOf(texts);
    }
}
