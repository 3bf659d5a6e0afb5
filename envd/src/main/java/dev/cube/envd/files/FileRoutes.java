package dev.cube.envd.files;

import dev.cube.envd.SandboxTarget;
import io.vertx.ext.web.RoutingContext;
import java.time.Clock;

/** The {@code /files} routes. They are open to signed URLs, so they look at access themselves. */
public final class FileRoutes {
    private final Signature signature = new Signature(Clock.systemUTC());

    /** {@code GET /files?path=…&username=…}. */
    public void download(SandboxTarget target, RoutingContext context) {
        signature.check(target, context.request(), Signature.Operation.READ);
        new Download(target, context).run();
    }

    /** {@code POST /files?path=…&username=…}. */
    public void upload(SandboxTarget target, RoutingContext context) {
        signature.check(target, context.request(), Signature.Operation.WRITE);
        new Upload(target, context).run();
    }

    /** {@code POST /files/compose}. */
    public void compose(SandboxTarget target, RoutingContext context) {
        Composition.run(target, context);
    }
}
