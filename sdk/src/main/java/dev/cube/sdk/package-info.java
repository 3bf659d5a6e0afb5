/**
 * A client for Cube's REST interface and for the services inside a sandbox, on the JDK's own HTTP client.
 *
 * <pre>{@code
 * try (var client = new CubeClient(CubeConfig.fromEnvironment());
 *         var sandbox = client.create(SandboxOptions.of("base"))) {
 *     System.out.println(sandbox.commands().run("uname -a").stdout());
 *     System.out.println(sandbox.runCode("1 + 1").text());
 * }
 * }</pre>
 *
 * <p>Calls block and are meant for virtual threads; all classes are thread-safe unless they say otherwise. Failures are
 * {@link dev.cube.sdk.CubeException}s.
 */
package dev.cube.sdk;
