//! The documentation keeps its word: commands run, recipes parse, links lead somewhere, quoted messages are the program's.
//!
//! Pages are run in the order of `docs/SUMMARY.md` in one folder that begins empty; the README's commands, which speak of a
//! user's files, find small files of those names. Where they do not say how much, training takes one epoch and a search 24
//! samples.

mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lowbit::facade;
use lowbit_data::Preprocess;
use lowbit_quantize::recipe::Recipe;
use lowbit_quantize::target::Target;
use lowbit_tensor::Tensor;
use lowbit_train::{TrainRecipe, listing};

/// Set, it lets the generated page be written instead of compared.
const UPDATE: &str = "LOWBIT_UPDATE_DOCS";

/// A fenced block: what its fence says, and its lines.
struct Block {
    info: String,
    lines: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/lowbit is two folders deep")
        .into()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What links in a text point to.
fn links(text: &str) -> Vec<String> {
    text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// Pages of the book, in its order.
fn pages() -> Vec<PathBuf> {
    let docs = root().join("docs");
    links(&read(&docs.join("SUMMARY.md"))).iter().map(|link| docs.join(link)).collect()
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let trimmed = line.trim_start();
        if let Some(info) = trimmed.strip_prefix("```") {
            if !open {
                blocks.push(Block { info: info.trim().to_owned(), lines: Vec::new() });
            }
            open = !open;
        } else if open {
            blocks.last_mut().expect("a block is open").lines.push(line.to_owned());
        }
    }
    assert!(!open, "a code block is not closed");
    blocks
}

/// The arguments of each `lowbit …` command of a block: continued lines joined, the prompt and remarks left out.
fn commands(block: &Block) -> Vec<Vec<String>> {
    let text = block.lines.join("\n").replace("\\\n", " ");
    let line = |line: &str| {
        let line = line.trim_start().strip_prefix("$ ").unwrap_or(line.trim_start());
        let line = line.split(" # ").next().unwrap_or_default();
        Some(line.strip_prefix("lowbit ")?.split_whitespace().map(str::to_owned).collect())
    };
    text.lines().filter_map(line).collect()
}

/// Runs the commands of a page in a folder; how many there were.
fn run(page: &Path, folder: &Path) -> usize {
    let shell = |block: &&Block| matches!(block.info.as_str(), "" | "console");
    let all: Vec<_> = blocks(&read(page)).iter().filter(shell).flat_map(commands).collect();
    for arguments in &all {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lowbit"));
        command.current_dir(folder).args(arguments);
        let says = |option: &str| arguments.iter().any(|argument| argument == option);
        match arguments[0].as_str() {
            "train" if !says("--epochs") => _ = command.args(["--epochs", "1"]),
            "search" if says("--data") && !says("--limit") => _ = command.args(["--limit", "24"]),
            _ => {}
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let line = arguments.join(" ");
        assert!(output.status.success(), "{}: `lowbit {line}` fails:\n{said}", page.display());
    }
    all.len()
}

#[test]
fn commands_of_the_book_run() {
    let folder = tempfile::tempdir().unwrap();
    let skipped = ["results.md", "embedding-tables.md"];
    let mut count = 0;
    for page in pages() {
        if !skipped.iter().any(|name| page.ends_with(name)) {
            count += run(&page, folder.path());
        }
    }
    assert!(count >= 15, "only {count} commands were found");
}

#[test]
fn commands_of_the_readme_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let made = Command::new(env!("CARGO_BIN_EXE_lowbit"))
        .args(["zoo", "resnet20", "-o"])
        .arg(at("resnet20.onnx"))
        .status()
        .unwrap();
    assert!(made.success());
    for (name, each) in [("train.tar.gz", 13), ("test.tar.gz", 2)] {
        fs::write(at(name), archive(each)).unwrap();
    }
    let table = Tensor::from_f32([500, 64], program::values(500 * 64, 1));
    program::npy(&at("table.npy"), &table);
    fs::write(at("model.onnx"), program::gather(table, &[3, 499, 0])).unwrap();
    let count = run(&root().join("README.md"), folder.path());
    assert!(count >= 20, "only {count} commands were found");
}

/// An archive of ten class folders, each with so many pictures of 32×32 made-up pixels.
fn archive(each: u32) -> Vec<u8> {
    let mut archive =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for class in 0..10u32 {
        for image in 0..each {
            let mut bytes = Vec::new();
            let mut encoder = png::Encoder::new(&mut bytes, 32, 32);
            encoder.set_color(png::ColorType::Rgb);
            let pixels: Vec<u8> =
                (0..32 * 32 * 3u32).map(|i| ((i * (31 + class * 7) + image * 97) ^ (i >> 3)) as u8).collect();
            encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, format!("class{class}/{image}.png"), bytes.as_slice()).unwrap();
        }
    }
    archive.into_inner().unwrap().finish().unwrap()
}

#[test]
fn recipes_of_the_book_parse() {
    let mut count = 0;
    for page in pages().into_iter().chain([root().join("README.md")]) {
        for block in blocks(&read(&page)).iter().filter(|block| block.info == "toml") {
            let text = block.lines.join("\n");
            let error = if text.contains("[train]") {
                TrainRecipe::parse("page", &text).err().map(|error| error.to_string())
            } else if text.contains("mean =") {
                Preprocess::from_toml(&text).err().map(|error| error.to_string())
            } else if text.contains("[[op]]") {
                Target::parse("page", &text).err().map(|error| error.to_string())
            } else {
                Recipe::parse("page", &text).err().map(|error| error.to_string())
            };
            assert!(error.is_none(), "{}: {}\n{text}", page.display(), error.unwrap_or_default());
            count += 1;
        }
    }
    assert!(count >= 3, "only {count} recipes were found");
}

#[test]
fn every_key_of_a_recipe_has_a_line() {
    let page = read(&root().join("docs/recipes.md"));
    let keys = |text: String| -> Vec<String> {
        text.lines().filter_map(|line| Some(line.split_once(" = ")?.0.to_owned())).collect()
    };
    let weights = lowbit_quantize::recipe::Weights {
        bits: Some(4),
        first_last_bits: Some(8),
        ..lowbit_quantize::recipe::Weights::default()
    };
    let activations = lowbit_quantize::recipe::Activations {
        bits: Some(4),
        first_last_bits: Some(8),
        first_output_bits: Some(8),
        ..lowbit_quantize::recipe::Activations::default()
    };
    let all = keys(toml::to_string(&weights).unwrap())
        .into_iter()
        .chain(keys(toml::to_string(&activations).unwrap()));
    for key in all {
        assert!(page.contains(&format!("\n{key} = ")), "docs/recipes.md does not say what `{key}` is");
    }
}

/// The page of all options.
fn options() -> String {
    let mut page = String::from(
        "# Methods and their options\n\nWritten by a test from what the program itself knows (`lowbit methods` prints the same).\n\n\
         ## Steps of a recipe\n\n`[[step]]` with `method = \"…\"` and these keys.\n",
    );
    let section = |id: &str, summary: &str, options: &[(&str, &str)]| {
        let mut text = format!("\n### `{id}`\n\n{summary}.\n");
        if !options.is_empty() {
            text += "\n| option | meaning |\n|---|---|\n";
        }
        for (name, meaning) in options {
            text += &format!("| `{name}` | {} |\n", meaning.replace('|', "\\|"));
        }
        text
    };
    for method in facade::methods() {
        page += &section(method.id, method.summary, method.options);
    }
    page += "\n## Training\n\nQuantizers are named in `[quantizer]`, the run is described in `[train]`.\n";
    for entry in listing::ALL {
        page += &section(entry.id, entry.summary, entry.options);
    }
    page += "\n## Recipes that are built in\n\n| name | what it does |\n|---|---|\n";
    for (name, _) in Recipe::built_in() {
        page += &format!("| `{name}` | {} |\n", Recipe::named(name).unwrap().summary);
    }
    for (name, _) in TrainRecipe::built_in() {
        page += &format!("| `{name}` | {} |\n", TrainRecipe::named(name).unwrap().bits.summary);
    }
    page
}

#[test]
fn the_page_of_options_is_up_to_date() {
    let (path, expected) = (root().join("docs/options.md"), options());
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, &expected).unwrap();
    }
    assert!(
        read(&path) == expected,
        "docs/options.md is behind; {UPDATE}=1 cargo test -p lowbit --test book writes it"
    );
}

#[test]
fn links_lead_somewhere_and_the_book_has_every_page() {
    let mut listed = pages();
    listed.push(root().join("docs/SUMMARY.md"));
    for page in listed.iter().chain([root().join("README.md"), root().join("ARCHITECTURE.md")].iter()) {
        for link in links(&read(page)).iter().filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let file = link.split('#').next().unwrap_or_default();
            let target = page.parent().unwrap().join(file);
            assert!(target.exists(), "{}: `{link}` leads nowhere", page.display());
        }
    }
    for folder in ["docs", "docs/methods"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let page = path.extension().is_some_and(|extension| extension == "md");
            assert!(!page || listed.contains(&path), "{} is not in docs/SUMMARY.md", path.display());
        }
    }
}

/// All Rust sources of the crates, in one text.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&read(&path));
        }
    }
}

#[test]
fn messages_that_are_explained_exist() {
    let mut text = String::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        sources(&entry.unwrap().path().join("src"), &mut text);
    }
    let page = read(&root().join("docs/troubleshooting.md"));
    let headings = page.lines().filter_map(|line| line.strip_prefix("### "));
    let quoted: Vec<&str> = headings.flat_map(|heading| heading.split('`').skip(1).step_by(2)).collect();
    assert!(quoted.len() > 10);
    for message in quoted {
        assert!(text.contains(message), "no source says `{message}`");
    }
}
