package dev.cube.envd.interpreter;

import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestFileWriter;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The kernels' programs and where they lie in the guest.
 *
 * @param directory where the programs are written to
 * @param epoch     the file that the guest's agent rewrites when the sandbox was restored
 */
record KernelFiles(String directory, String epoch) {
    static final KernelFiles GUEST = new KernelFiles("/opt/cube", "/run/cube/epoch");

    /** Writes a language's kernel into the guest. */
    void install(GuestAgent agent, Language language) {
        for (String name : language.files()) {
            byte[] content = read(name);
            try (GuestFileWriter writer = agent.write(directory + "/" + name, "root", Optional.of(0644))) {
                writer.write(content, 0, content.length);
                writer.commit();
            }
        }
    }

    /** Arguments that run a language's kernel. */
    List<String> arguments(Language language) {
        var arguments = new ArrayList<>(language.options());
        arguments.add(directory + "/" + language.files().getFirst());
        arguments.add(epoch);
        return List.copyOf(arguments);
    }

    private static byte[] read(String name) {
        try (InputStream content = KernelFiles.class.getResourceAsStream(name)) {
            if (content == null) {
                throw new IllegalStateException("missing resource " + name);
            }
            return content.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
