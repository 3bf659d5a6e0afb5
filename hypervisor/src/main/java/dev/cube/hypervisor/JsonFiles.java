package dev.cube.hypervisor;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/** Small JSON files, which are replaced whole or not at all. */
final class JsonFiles {
    private static final ObjectMapper MAPPER = JsonMapper.builder().build();

    private JsonFiles() {}

    static <T> T read(Path file, Class<T> type) throws IOException {
        byte[] bytes = Files.readAllBytes(file);
        try {
            T value = MAPPER.readValue(bytes, type);
            if (value == null) {
                throw new IOException(file + " is empty");
            }
            return value;
        } catch (JsonProcessingException e) {
            throw new IOException(file + " is damaged: " + e.getOriginalMessage(), e);
        }
    }

    static void write(Path file, Object value) throws IOException {
        write(file, value, StandardOpenOption.WRITE);
    }

    /** Has the content on disk before it takes the place of what is there. */
    static void writeSynced(Path file, Object value) throws IOException {
        write(file, value, StandardOpenOption.SYNC);
    }

    private static void write(Path file, Object value, StandardOpenOption option) throws IOException {
        Path fresh = file.resolveSibling(file.getFileName() + ".new");
        Files.write(fresh, MAPPER.writeValueAsBytes(value), StandardOpenOption.CREATE,
                StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE, option);
        Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE);
    }
}
