"""Classify texts with an exported model: `python examples/classify.py RUN_DIR/export "a text" "another"`."""

import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"  # the model is a local folder, so the hub is not asked
import torch
import transformers

transformers.utils.logging.disable_progress_bar()
folder, *texts = sys.argv[1:]
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
with torch.inference_mode():
    probabilities = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.softmax(-1)
for text, row in zip(texts, probabilities, strict=True):
    best = int(row.argmax())
    print(f"{model.config.id2label[best]:12} {row[best]:.2f}  {text}")
