// Chromium, from its package, with the libraries and fonts that it brings along: nothing of it need be installed.
import { existsSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import puppeteer from "puppeteer-core";

const modules = join(import.meta.dirname, "node_modules");
const unpacked = join(modules, ".chromium");

// The package's own looks for fonts where Lambda has them. Without any, Chromium does not start.
const fonts = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>${join(unpacked, "fonts", "fonts")}</dir>
  <cachedir>${join(unpacked, "fonts-cache")}</cachedir>
</fontconfig>
`;

// The package unpacks into the folder for temporary files, and takes what is there for whole: so it gets one of its own, which
// counts only when it is complete.
async function unpack() {
  const making = `${unpacked}.new`;
  await rm(making, { recursive: true, force: true });
  await mkdir(making);
  const { TMPDIR } = process.env;
  process.env.TMPDIR = making;
  try {
    const { default: chromium, inflate } = await import("@sparticuz/chromium");
    await chromium.executablePath();
    await inflate(join(modules, "@sparticuz", "chromium", "bin", "al2023.tar.br"));
  } finally {
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
  }
  await writeFile(join(making, "fonts", "fonts.conf"), fonts);
  await rename(making, unpacked);
}

// `CHROMIUM` names another one, for machines that are not Linux on x86_64.
export async function launch() {
  const options = { headless: "shell" };
  if (process.env.CHROMIUM) {
    options.executablePath = process.env.CHROMIUM;
  } else if (process.platform === "linux" && process.arch === "x64") {
    if (!existsSync(unpacked)) await unpack();
    options.executablePath = join(unpacked, "chromium");
    options.env = {
      ...process.env,
      FONTCONFIG_PATH: join(unpacked, "fonts"),
      LD_LIBRARY_PATH: join(unpacked, "al2023", "lib"),
    };
  } else {
    throw new Error("there is no Chromium for this machine in the package: name one in CHROMIUM");
  }
  // Containers run as root, where Chromium's sandbox can't be. It sees our own file only, and no network.
  const args = ["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND"];
  return puppeteer.launch({ ...options, args, protocolTimeout: 600_000 });
}
