package dev.cube.master;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * API keys in the database, by their SHA-256. A key is {@code e2b_} and 40 hexadecimal digits, the form that E2B's
 * clients check for; with 160 random bits in it a plain hash is enough.
 */
final class StoredApiKeys implements ApiKeys {
    private static final String PREFIX = "e2b_";
    private static final int RANDOM_BYTES = 20;
    private static final int HINT_CHARS = 8;
    private static final int MAX_NAME = 128;

    private final Database database;
    private final Set<String> hashes = ConcurrentHashMap.newKeySet();

    StoredApiKeys(Database database) {
        this.database = database;
        hashes.addAll(database.read(
                handle -> handle.createQuery("SELECT hash FROM api_keys").mapTo(String.class).list()));
    }

    @Override
    public NewKey create(String name) {
        if (name == null || name.isBlank() || name.length() > MAX_NAME) {
            throw Requests.invalid("name must have 1 to %d characters".formatted(MAX_NAME));
        }
        String key = PREFIX + RandomNames.hex(RANDOM_BYTES);
        KeyInfo info = new KeyInfo(RandomNames.id(), name, key.substring(0, HINT_CHARS),
                Instant.now().truncatedTo(ChronoUnit.MILLIS));
        String hash = hash(key);
        database.writeDurably(handle -> handle.execute(
                "INSERT INTO api_keys (id, name, hash, hint, created_at) VALUES (?, ?, ?, ?, ?)",
                info.id(), name, hash, info.hint(), info.createdAt().toEpochMilli()));
        hashes.add(hash);
        return new NewKey(info, key);
    }

    @Override
    public List<KeyInfo> list() {
        return database.read(handle -> handle
                .createQuery("SELECT id, name, hint, created_at FROM api_keys ORDER BY created_at, id")
                .map((rs, context) -> new KeyInfo(rs.getString("id"), rs.getString("name"), rs.getString("hint"),
                        Instant.ofEpochMilli(rs.getLong("created_at"))))
                .list());
    }

    @Override
    public void delete(String id) {
        String hash = database.read(handle -> handle.createQuery("SELECT hash FROM api_keys WHERE id = :id")
                .bind("id", id).mapTo(String.class).findOne())
                .orElseThrow(() -> new MasterException(MasterException.Kind.NOT_FOUND,
                        "There is no API key '%s'".formatted(id)));
        database.writeDurably(handle -> handle.execute("DELETE FROM api_keys WHERE id = ?", id));
        hashes.remove(hash);
    }

    @Override
    public boolean valid(String key) {
        return hashes.contains(hash(key));
    }

    private static String hash(String key) {
        try {
            return HexFormat.of().formatHex(
                    MessageDigest.getInstance("SHA-256").digest(key.getBytes(StandardCharsets.UTF_8)));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
