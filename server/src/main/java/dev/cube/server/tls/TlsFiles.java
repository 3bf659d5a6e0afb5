package dev.cube.server.tls;

import java.nio.file.Path;

/**
 * Where certificates are, all as PEM.
 *
 * @param authority   the local authority's certificate
 * @param bundle      all authorities that the system trusts, and the local one: fit for {@code SSL_CERT_FILE}, which
 *                    replaces the system's
 * @param certificate the server's
 * @param key         the server's private key
 */
public record TlsFiles(Path authority, Path bundle, Path certificate, Path key) {}
