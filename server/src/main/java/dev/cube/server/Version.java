package dev.cube.server;

import java.util.Optional;

/** The version of this build. */
final class Version {
    static final String TEXT =
            Optional.ofNullable(Version.class.getPackage().getImplementationVersion()).orElse("built from source");

    private Version() {}
}
