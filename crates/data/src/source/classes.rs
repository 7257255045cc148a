//! Which classes a tree of images spells: folders in alphabetical order, below any folders that only wrap.

use std::collections::BTreeSet;
use std::path::Path;

use super::Names;
use crate::error::DataError;

/// Folder names that split a data set rather than name classes.
const SPLITS: [&str; 6] = ["train", "test", "val", "valid", "validation", "eval"];

/// Class names in order of labels, and the label of each image; a flat folder has neither.
///
/// `images` and `folders` are paths relative to the root, parts separated by `/`. A level with a single folder
/// and no images is descended, so `cifar/train/cat/1.jpg` has the class `cat`, and a single folder of images
/// is a flat set rather than a set of one class. Images deeper inside a class folder belong to it.
pub(super) fn classes(
    root: &Path,
    images: &Names,
    folders: &BTreeSet<String>,
) -> Result<(Vec<String>, Option<Vec<u32>>), DataError> {
    let mut wrapper = String::new();
    loop {
        let below = |path: &str| path.strip_prefix(wrapper.as_str()).map(str::to_owned);
        let inside = |path: &str| below(path)?.split_once('/').map(|(folder, _)| folder.to_owned());
        let tops: BTreeSet<String> = images.iter().filter_map(inside).collect();
        if tops.is_empty() {
            return Ok((Vec::new(), None));
        }
        let place = if wrapper.is_empty() { "the root" } else { wrapper.trim_end_matches('/') };
        if let Some(loose) = images.iter().filter_map(below).find(|path| !path.contains('/')) {
            let folder = tops.first().map_or("", String::as_str);
            let problem = format!(
                "`{loose}` lies in {place} beside the folder `{folder}`: expected class folders only, or images only"
            );
            return Err(DataError::structure(root, problem));
        }
        let direct = |path: &String| below(path).filter(|path| !path.is_empty() && !path.contains('/'));
        if let Some(empty) = folders.iter().filter_map(direct).find(|folder| !tops.contains(folder)) {
            let problem = format!(
                "folder `{empty}` in {place} holds no image: labels count folders, so a class without samples must be removed or filled"
            );
            return Err(DataError::structure(root, problem));
        }
        if tops.len() > 1 {
            if tops.iter().all(|folder| SPLITS.contains(&folder.as_str())) {
                let tops: Vec<_> = tops.iter().map(|split| format!("`{split}`")).collect();
                let problem = format!("holds {} in {place}: give one of them", tops.join(" and "));
                return Err(DataError::structure(root, problem));
            }
            let tops: Vec<String> = tops.into_iter().collect();
            let label = |path: &str| {
                let rest = &path[wrapper.len()..];
                let folder = rest.split_once('/').map_or(rest, |(folder, _)| folder);
                tops.binary_search_by(|top| top.as_str().cmp(folder)).unwrap_or_else(|at| at) as u32
            };
            let labels = images.iter().map(label).collect();
            return Ok((tops, Some(labels)));
        }
        wrapper.extend(tops.iter().flat_map(|top| [top.as_str(), "/"]));
    }
}

/// Whether a file of this name is meant as an image; the content decides when it is decoded.
///
/// Other files, and those whose name begins with a dot, are no samples. Images this crate cannot decode are an
/// error rather than silently missing.
pub(super) fn is_image(root: &Path, path: &str) -> Result<bool, DataError> {
    let hidden = path.split('/').any(|part| part.starts_with('.') || part == "__MACOSX");
    let Some((_, extension)) = path.rsplit_once('.').filter(|_| !hidden) else { return Ok(false) };
    match extension.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" | "jpe" | "jfif" | "png" => Ok(true),
        "bmp" | "gif" | "webp" | "tif" | "tiff" | "avif" | "heic" | "jp2" | "jxl" | "ppm" | "pgm" => {
            Err(DataError::structure(root, format!("`{path}`: only JPEG and PNG images are decoded")))
        }
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = (Vec<String>, Option<Vec<u32>>);

    fn spell(images: &[&str], folders: &[&str]) -> Result<Found, String> {
        let mut names = Names::default();
        images.iter().for_each(|image| names.push(image));
        let folders = folders.iter().map(|&folder| folder.to_owned()).collect();
        classes(Path::new("root"), &names, &folders).map_err(|error| error.to_string())
    }

    #[test]
    fn folders_are_classes_in_alphabetical_order() {
        let (classes, labels) =
            spell(&["dog/1.jpg", "Cat/1.jpg", "ant/deep/1.jpg"], &["Cat", "ant", "dog"]).unwrap();
        assert_eq!(classes, ["Cat", "ant", "dog"]);
        assert_eq!(labels.unwrap(), [2, 0, 1]);
    }

    #[test]
    fn wrapping_folders_are_descended_and_flat_sets_have_no_labels() {
        let (classes, labels) = spell(&["x/test/b/1.jpg", "x/test/a/1.jpg"], &["x", "x/test"]).unwrap();
        assert_eq!((classes.len(), labels), (2, Some(vec![1, 0])));
        assert_eq!(spell(&["1.jpg", "2.jpg"], &[]).unwrap(), (vec![], None));
        assert_eq!(spell(&["all/1.jpg", "all/2.jpg"], &["all"]).unwrap(), (vec![], None));
    }

    #[test]
    fn trees_that_could_be_read_two_ways_are_refused() {
        let splits = spell(&["train/a/1.jpg", "test/a/1.jpg"], &[]).unwrap_err();
        assert_eq!(splits, "root: holds `test` and `train` in the root: give one of them");
        assert!(spell(&["1.jpg", "a/1.jpg"], &[]).unwrap_err().contains("`1.jpg` lies in the root beside"));
        assert!(
            spell(&["a/1.jpg", "c/1.jpg"], &["b"])
                .unwrap_err()
                .contains("folder `b` in the root holds no image")
        );
    }

    #[test]
    fn only_jpeg_and_png_count_and_other_images_are_refused() {
        let is = |path| is_image(Path::new("root"), path);
        assert!(is("a/1.JPG").unwrap() && is("a/1.png").unwrap());
        assert!(!is("a/readme.txt").unwrap() && !is("a/._1.jpg").unwrap() && !is("LICENSE").unwrap());
        assert!(is("a/1.webp").unwrap_err().to_string().contains("only JPEG and PNG"));
    }
}
