package dev.cube.sdk;

import java.time.Instant;

/**
 * An API key.
 *
 * @param hint the part of the key that is kept for recognition
 * @param key  the key itself, only in the answer to its creation; null otherwise
 */
public record ApiKeyInfo(String id, String name, String hint, Instant createdAt, String key) {}
