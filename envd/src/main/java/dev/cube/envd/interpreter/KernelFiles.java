package dev.cube.envd.interpreter;

import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestFileWriter;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
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

    /**
     * Node cannot duplicate descriptors: its kernel's protocol is on 3 and 4, and what its children write to those that
     * they inherit goes to standard error.
     */
    private static final String NODE = "exec node --no-warnings \"$@\" 3<&0 4>&1 0</dev/null 1>&2";
    /** Likewise: a child of the kernel's would have the host's requests for its input. R's own output stays what it is. */
    private static final String R = "exec Rscript --vanilla \"$@\" 3<&0 0</dev/null";
    /**
     * The kernel takes hold of descriptors, and changes its own environment, which Java means to be read only. The first compiler is
     * enough, and starts sooner.
     */
    private static final String JAVA = "exec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC --add-modules=jdk.jshell"
            + " --add-opens=java.base/java.io=ALL-UNNAMED --add-opens=java.base/java.lang=ALL-UNNAMED"
            + " --add-opens=java.base/java.util=ALL-UNNAMED"
            + " \"$@\" 3<&0 4>&1 0</dev/null 1>&2";

    /** Writes a language's kernel into the guest. */
    void install(GuestAgent agent, Language language) {
        for (String name : language.files()) {
            byte[] content = read(name);
            try (GuestFileWriter writer = agent.write(path(name), "root", Optional.of(0644))) {
                writer.write(content, 0, content.length);
                writer.commit();
            }
        }
    }

    /** Arguments that run a language's kernel. */
    List<String> arguments(Language language) {
        String file = path(language.files().getFirst());
        return switch (language) {
            case PYTHON -> List.of(file, epoch);
            case JAVASCRIPT, TYPESCRIPT -> List.of("-c", NODE, "node", file, epoch, language.id());
            case R -> List.of("-c", R, "Rscript", file, epoch);
            case JAVA -> List.of("-c", JAVA, "java", file, epoch);
            case BASH -> List.of("--noprofile", "--rcfile", file, "--noediting", "-i", "-s", epoch);
        };
    }

    /** Arguments that have a running kernel's copy fork a new one; empty where the language has no such thing. */
    Optional<List<String>> forkArguments(Language language) {
        return language == Language.PYTHON
                ? Optional.of(List.of("-I", "-S", "-E", path("connect.py"), epoch)) : Optional.empty();
    }

    private String path(String name) {
        return directory + "/" + name;
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
