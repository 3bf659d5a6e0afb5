package dev.cube.http;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.exc.InputCoercionException;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.exc.MismatchedInputException;
import com.fasterxml.jackson.databind.exc.UnrecognizedPropertyException;
import io.vertx.ext.web.RoutingContext;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Collection;
import java.util.List;
import java.util.Map;

/**
 * Binds a JSON request body to a record. Whatever does not fit is a 400 that names the field: a wrong type, a number
 * out of range, an unknown field (unless it is null). Numbers, strings and booleans are not converted into each other.
 * Fields that may be absent are {@link java.util.Optional} in the record.
 */
public final class JsonBody {
    /** Largest body that is read, in bytes. */
    public static final int LIMIT = 1 << 20;

    private JsonBody() {}

    /** The body of the request, which must be a JSON object. */
    public static <T> T read(RoutingContext context, Class<T> type) {
        return parse(RequestBody.bytes(context, LIMIT), type);
    }

    /** As {@link #read}; an empty body is taken for <code>{}</code>. */
    public static <T> T readOptional(RoutingContext context, Class<T> type) {
        byte[] bytes = RequestBody.bytes(context, LIMIT);
        return parse(bytes.length == 0 ? new byte[] {'{', '}'} : bytes, type);
    }

    /** Binds {@code json}; throws {@link HttpError} 400. */
    public static <T> T parse(byte[] json, Class<T> type) {
        if (json.length == 0) {
            throw new HttpError(400, "the request needs a JSON body");
        }
        try {
            T value = Json.MAPPER.readValue(text(json), type);
            if (value == null) {
                throw new HttpError(400, "the request body must be an object, not null");
            }
            return value;
        } catch (JsonMappingException e) {
            throw new HttpError(400, describe(e));
        } catch (JacksonException e) {
            throw new HttpError(400, malformed(e));
        } catch (IOException e) {
            throw new HttpError(400, "the request body is not UTF-8");
        }
    }

    // Jackson would guess among UTF-16 and UTF-32 otherwise; RFC 8259 allows UTF-8 only.
    private static String text(byte[] json) throws CharacterCodingException {
        return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(json)).toString();
    }

    private static String describe(JsonMappingException e) {
        String field = path(e.getPath());
        if (e instanceof UnrecognizedPropertyException) {
            return "unknown field '" + field + "'";
        }
        if (e.getCause() instanceof InputCoercionException) {
            return "field '" + field + "' is out of range";
        }
        if (e.getCause() instanceof JacksonException cause && !(cause instanceof JsonMappingException)) {
            return malformed(cause);
        }
        if (e instanceof MismatchedInputException mismatch) {
            String subject = field.isEmpty() ? "the request body" : "field '" + field + "'";
            return mismatch.getTargetType() == null ? subject + " has the wrong type"
                    : subject + " must be " + expected(mismatch.getTargetType());
        }
        return (field.isEmpty() ? "" : "field '" + field + "': ") + firstLine(e);
    }

    private static String expected(Class<?> type) {
        if (type == String.class) {
            return "a string";
        }
        if (type == boolean.class || type == Boolean.class) {
            return "true or false";
        }
        if (type == int.class || type == Integer.class || type == long.class || type == Long.class) {
            return "a whole number";
        }
        if (Collection.class.isAssignableFrom(type)) {
            return "an array";
        }
        return Map.class.isAssignableFrom(type) || type.isRecord() ? "an object" : "a " + type.getSimpleName();
    }

    private static String path(List<JsonMappingException.Reference> references) {
        var path = new StringBuilder();
        for (JsonMappingException.Reference reference : references) {
            if (reference.getFieldName() == null) {
                path.append('[').append(reference.getIndex()).append(']');
            } else {
                path.append(path.isEmpty() ? "" : ".").append(reference.getFieldName());
            }
        }
        return path.toString();
    }

    private static String malformed(JacksonException e) {
        String where = e.getLocation() == null ? ""
                : " at line %d, column %d".formatted(e.getLocation().getLineNr(), e.getLocation().getColumnNr());
        return "malformed JSON" + where + ": " + firstLine(e);
    }

    private static String firstLine(JacksonException e) {
        return e.getOriginalMessage().lines().findFirst().orElse("invalid");
    }
}
