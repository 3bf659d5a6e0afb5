package dev.cube.image;

import java.util.Optional;

/** Knows how to log in to registries. Thread-safe. */
@FunctionalInterface
public interface RegistryCredentials {
    /**
     * What a registry wants to see.
     *
     * @param identityToken a refresh token, used instead of the password where there is one
     */
    record Login(String username, String password, Optional<String> identityToken) {}

    /** @param host the registry's, with its port if it has one */
    Optional<Login> find(String host);

    /** Access without logging in. */
    static RegistryCredentials anonymous() {
        return host -> Optional.empty();
    }
}
